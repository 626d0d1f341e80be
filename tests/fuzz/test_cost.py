# SPDX-License-Identifier: MIT
"""`vmrace cost` counts as a person counts by hand, and reads as kept."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.measure.cost import COLUMNS, SITUATIONS, Costs, Mean, Measured, Situation, Spread
from vmrace.fuzz.measure.cost_report import differences, summary, sums
from vmrace.fuzz.measure.meter import Counts
from vmrace.variants.family import FAMILIES, Family, Variant, family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import Program, TaskProgram, parse_op

from tests.documents import document
from tests.golden.test_golden import golden, said

COUNTED = Family(
    name="counted", summary="", era="none", base=("tests.fuzz.kernels.counted",), tail=("tests.fuzz.kernels.counted_ops",),
    variants={"base": Variant("base", (), "", "tests")},
    check=lambda image: (), drained=lambda image: (), describe=lambda image: {},
)


def vmrace(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def measured(operation: str, twin: str = "", partner: str = "", runs: int = 60, seed: int = 0) -> tuple[Mean, Mean, Mean]:
    out = Costs(COUNTED, "base", runs, seed).measure(Situation("", (), operation, twin or operation, partner or operation))
    assert out.alone is not None and out.twin is not None and out.partner is not None
    return out.alone, out.twin, out.partner


def columns(mean: Mean) -> dict[str, float]:
    return {name: mean.of(name) for name in COLUMNS if mean.of(name)}


def test_the_counts_of_an_operation_alone_are_those_of_a_count_by_hand() -> None:
    alone, _, _ = measured("touch f0.0")
    # atomic_inc 1, test_bit 1, spin_lock 1, nr 1 + 1, list_add 1 + 4, list_del 2 + 2, spin_unlock 1, index 1, wmb 1; not the
    # point of user space, nor leave(). Lines: the page, the zone, the list head, which stands alone.
    assert columns(alone) == {"points": 17, "locks": 1, "rmw": 1, "loads": 5, "stores": 8, "barriers": 1, "lines": 3}
    assert alone.taken == {"zone.lock": 1}
    assert alone.under == {"zone.lock": 12}         # nr, the list, and the unlock


def test_a_bit_lock_counts_as_a_lock_and_as_its_instructions() -> None:
    alone, twin, _ = measured("lock f0.0")
    assert columns(alone) == {"points": 3, "locks": 1, "rmw": 2, "loads": 1, "lines": 1}
    assert alone.taken == {"PG_locked": 1} and alone.under == {"PG_locked": 2}
    assert twin.of("locks") == 1 and twin.of("waited") > 0


def test_an_interrupt_counts_for_the_operation_that_raised_it() -> None:
    alone, twin, partner = measured("irq_put k0", partner="lock f0.1")
    assert columns(alone) == {"points": 1, "rmw": 1, "lines": 1}
    assert twin.of("rmw") == partner.of("rmw") == 1


def test_a_second_cpu_makes_an_operation_wait_and_takes_its_cache_lines() -> None:
    alone, twin, _ = measured("touch f0.0", "touch f0.1")
    assert alone.of("foreign") == alone.of("waited") == 0
    assert 0 < twin.of("waited") < 1
    assert 1 < twin.of("foreign") < twin.of("stores")
    assert twin.of("points") == alone.of("points")          # no cpu makes more accesses because of it
    same, = {measured("touch f0.0", partner="lock f0.1")[2].of("foreign")}
    assert same == 0                                        # they share no line


def test_a_load_misses_once_after_each_store_of_another_cpu() -> None:
    """One run, without a preemption: the first task stores to the page, and the second then loads from it twice."""
    _, after_a_store, _ = measured("touch f0.0", "load m0.0", runs=1)
    assert after_a_store.sums["foreign_loads"] == 1
    _, no_store, _ = measured("load m0.0", "load m0.0", runs=1)
    assert no_store.sums["loads"] == 4 and no_store.sums["foreign_loads"] == 0
    alone, _, _ = measured("touch f0.0")        # loads the flags after its own store to the page
    assert alone.sums["loads"] == 5 and alone.sums["foreign_loads"] == 0


def test_a_store_takes_the_line_from_every_cpu_that_had_loaded_it() -> None:
    """Tasks run one after the other: cpu0 stores, cpu1 loads, cpu2 stores, and another task of cpu1 loads again."""
    tasks = ((0, "touch f0.0"), (1, "load m0.0"), (2, "touch f0.0"), (1, "load m0.0"))
    program = Program((), tuple(TaskProgram(cpu, (parse_op(text, "task"),)) for cpu, text in tasks), 3)
    meter = next(Costs(COUNTED, "base", 1)._metered(program, 1))
    assert meter is not None
    assert [meter.counts[number].foreign_loads for number in (1, 3)] == [1, 1]


def test_a_wait_for_the_disk_is_a_sleep() -> None:
    costs = Costs(family("invalidate_2_6"), "pre_2_6_15", 1)
    on_disk, in_cache = (next(one for one in SITUATIONS if one.name == "read" and what in one.what) for what in ("on disk", "in the cache"))
    slept = [costs.measure(one).alone for one in (on_disk, in_cache)]
    assert [mean.of("sleeps") for mean in slept if mean is not None] == [1, 0]


def test_a_spread_has_the_quartiles_of_its_values() -> None:
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(1, 2, 3, 4, 5)
    assert Spread.of([7]) == Spread(7, 7, 7, 7, 7)
    assert Spread.of([]) == Spread()


def mean(points: int, failed: int = 0, waited: tuple[int, ...] = (0, 0, 0, 0)) -> Mean:
    out = Mean(len(waited) + failed, failed)
    for number in waited:
        out.ran([Counts(points=points, waited=number)])
    return out


def row(operation: str, *means: Mean) -> list[Measured]:
    situation = Situation("x", (), operation, operation, operation)
    return [Measured(situation, f"v{number}", one, one) for number, one in enumerate(means)]


def test_the_sums_leave_out_situations_in_which_a_run_ended_in_a_finding() -> None:
    each, failed = sums([row("a", mean(10), mean(12)), row("b", mean(5), mean(5, failed=1)), row("c", mean(1), mean(2))], "alone")
    assert {variant: total.of("points") for variant, total in each.items()} == {"v0": 11, "v1": 14}
    assert [(one.situation.operation, one.variant) for one in failed] == [("b", "v1")]


def test_a_difference_of_means_is_written_only_if_it_exceeds_the_noise() -> None:
    text = "\n".join(summary([row("a", mean(10, waited=(0, 1) * 8), mean(10, waited=(1, 0) * 7 + (1, 1)))], 0))
    noisy = [line.split() for line in text.splitlines() if "difference" in line][1]
    assert noisy[1:4] == ["=", "=", "~"]
    text = "\n".join(summary([row("a", mean(10, waited=(0,) * 16), mean(10, waited=(1,) * 15 + (2,)))], 0))
    clear = [line.split() for line in text.splitlines() if "difference" in line][1]
    assert clear[1:4] == ["=", "=", "+1.1"]


def test_the_table_of_differences_names_what_is_the_same_and_what_is_not_compared() -> None:
    told = list(differences([row("a", mean(10), mean(12)), row("b", mean(5), mean(5)), row("c", mean(1), mean(1, failed=2))]))
    assert any(line.split() == ["a", "(x)", "+2"] for line in told)
    assert "  the same in: b (x)" in told
    assert "c alone (0 and 2 of 4 runs ended in a finding)" in " ".join(" ".join(told).split())


def test_the_counts_depend_on_the_seed_alone() -> None:
    one, again, other = (measured("touch f0.0", seed=seed)[1].told() for seed in (3, 3, 4))
    assert one == again != other


def test_the_chain_of_one_fault_is_its_points_and_grows_with_each_fault_that_waits() -> None:
    costs = Costs(family("invalidate_2_6"), "nick_lock_page", 10)
    one, two, three = costs.serialise(3)
    assert one.chain == one.line_chain == one.points
    assert one.chain < two.chain < three.chain
    assert all(chain.chain <= chain.line_chain <= chain.points * chain.faults for chain in (two, three))
    for chain in (one, two, three):
        spread = chain.chain_spread
        assert chain.counted == 10 and spread.least <= spread.lower <= spread.median <= spread.upper <= spread.greatest
        assert spread.least <= chain.chain <= spread.greatest
    assert three.chain_spread.least < three.chain_spread.greatest


@pytest.mark.long
def test_every_operation_has_a_situation_in_which_it_does_work() -> None:
    assert {situation.name for situation in SITUATIONS} == set(OPERATIONS)
    for name in FAMILIES:
        made = family(name)
        costs = Costs(made, next(iter(made.variants)), 1)
        for situation in filter(costs.has, SITUATIONS):
            alone = costs.measure(situation).alone
            assert alone is not None and alone.operations == 1, situation
            if situation.name not in ("dma", "load_pin"):           # the accesses of a device are not counted
                assert (alone.of("points") > 0) == (situation.what != "of a page that is mapped"), situation


@pytest.mark.long
def test_the_seqschedlock_adds_loads_and_barriers_to_a_fault_and_stores_nothing() -> None:
    situation = next(one for one in SITUATIONS if one.name == "load")
    before, after = (Costs(family("invalidate_2_6"), name, 1).measure(situation).alone for name in ("pre_2_6_15", "andrea_seqschedlock"))
    assert before is not None and after is not None
    assert after.of("loads") - before.of("loads") == 5
    assert all(after.of(name) == before.of(name) for name in ("locks", "rmw", "stores", "lines"))


def test_json_has_each_situation_and_variant_and_each_number_of_faults() -> None:
    result = vmrace("cost", "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count", "--operations", "load", "--runs-each", 2, "--json")
    assert result.exit_code == 0, result.output
    told = document(result.stdout, "cost")
    assert [one["variant"] for one in told["costs"]] == ["pre_patch", "daniel_lru_count"] * 3
    assert [one["faults"] for one in told["chains"]] == [*range(1, 9)] * 2
    assert told["costs"][0]["alone"]["runs"] == 1 and told["costs"][0]["beside_twin"]["runs"] == 2
    assert {"sleeps", "foreign", "foreign_loads"} <= told["costs"][0]["alone"].keys()
    assert [(one["variant"], one["of"]) for one in told["summary"][:2]] == [("pre_patch", "alone"), ("daniel_lru_count", "alone")]
    chain = told["chains"][0]
    assert chain["counted"] == 2 and chain["chain_spread"].keys() == {"least", "lower", "median", "upper", "greatest"}


@pytest.mark.parametrize(("args", "said"), [
    (["lru_free_2_4/pre_pach"], "no variant 'lru_free_2_4/pre_pach'. Did you mean lru_free_2_4/pre_patch?"),
    (["lru_free_2_4/pre_patch", "--operations", "unpinn"], "no operation 'unpinn'. Did you mean unpin?"),
    (["lru_free_2_4/pre_patch", "--operations", "populate"], "none of these variants has the operation populate"),
])
def test_bad_input_to_cost_gives_one_line(args: list[str], said: str) -> None:
    result = vmrace("cost", *args)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"vmrace: {said}\n")


def test_the_table_of_costs_reads_as_kept() -> None:
    text = said("cost", "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count", "--operations", "unpin,pin", "--runs-each", "20")
    assert max(map(len, text.splitlines()[1:])) <= 100
    golden("cost", text)


def test_the_details_of_costs_take_100_columns_and_come_after_the_summary() -> None:
    short = ["cost", "invalidate_2_6/pre_2_6_15", "invalidate_2_6/andrea_seqschedlock", "--operations", "load", "--runs-each", "3"]
    lines, details = said(*short).splitlines()[1:-1], said(*short, "--details").splitlines()[1:-1]
    assert details[:len(lines)] == lines
    assert max(map(len, details)) <= 100
    rest = "\n".join(details[len(lines):])
    assert "under each lock: points/acquisitions" in rest and "runs counted, which are those without a finding" in rest
    assert len(lines) <= 60 and "under each lock: points/acquisitions" not in "\n".join(lines)


def test_variants_of_two_families_stand_side_by_side() -> None:
    result = vmrace("cost", "lru_free_2_4/pre_patch", "invalidate_2_6/page_count_clear_uptodate", "--operations", "load,swap_out",
                    "--runs-each", 3, "--details")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "page_count_clear_uptodate  n/a" in result.stdout
