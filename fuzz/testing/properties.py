# SPDX-License-Identifier: MIT
"""Properties of a variant, for Hypothesis and pytest: many schedules an example, shrunk by our minimiser, told by our story.

    from vmrace.fuzz.testing.properties import holds_on

    @holds_on("lru_free_2_4/daniel_lru_count", operations="store load fork unmap pin irq_put")
    def test_no_load_returns_the_data_of_another_process(run):
        for load in run.loads:
            assert load.writer in ("", load.who, *run.ancestors(load.who))

Hypothesis draws a program, as bytes, and a seed; our engine runs many schedules of the program. It thereby makes more than four fifths
of the runs that it makes alone (tests/benchmarks/properties.py). Hypothesis keeps the bytes of a failure in its database, and begins with
them the next time. It does not shrink: our minimiser does, over program and schedule.

A property sees a run (run_view.py), and raises AssertionError or returns False if it does not hold. It must be a function of the run, and
depend on no order of accesses but the one that they have in the history. A finding of a sanitizer fails an example, too.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from vmrace.fuzz.corpus.entry import save
from vmrace.fuzz.programs.decode import BYTES_MAX, decode
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.hit import REPLAYS, Hit
from vmrace.fuzz.shrink.confirm import Confirmed
from vmrace.fuzz.testing import backend as backends
from vmrace.fuzz.testing.run_view import Run
from vmrace.fuzz.testing.search import Holds, Search
from vmrace.fuzz.text.wording import count
from vmrace.harness.finding import Kind, kind_of
from vmrace.harness.printable import printable
from vmrace.variants.family import FAMILIES, Family, family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import Op, Program, TaskProgram, parse_op
from vmrace.variants.spelling import did_you_mean

SCHEDULES = 200             # of an example
EXAMPLES = 100
SHRINK_SECONDS = 30.0
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)      # not shrink: each attempt would run all schedules


# ---- strategies ---------------------------------------------------------------------------------------------------------------

def compact_programs(made: Family, names: Sequence[str] = ()) -> st.SearchStrategy[Program]:
    """Draw a program of a family as bytes, in a hundredth of the time of vmrace.fuzz.programs.strategies.programs.

    `names`: the operations to draw from; if empty, those that every variant of the family has.
    """
    chosen = tuple(names) or _common(made)
    # all of the bytes: Hypothesis draws five on average otherwise, and the rest of each program would be its first operation
    return st.binary(min_size=BYTES_MAX, max_size=BYTES_MAX).map(lambda data: decode(data, chosen))


def _common(made: Family) -> tuple[str, ...]:
    has = [set(Executor(made, variant).operations()) for variant in made.variants]
    return tuple(name for name in OPERATIONS if all(name in names for names in has))


@dataclass(frozen=True)
class Schedules:
    """`number` schedules of a program, as a campaign samples them. The seed decides which."""

    number: int
    seed: int


def schedules(number: int = SCHEDULES) -> st.SearchStrategy[Schedules]:
    """Draw that number of schedules: one draw, whatever their number."""
    return st.integers(0, 2**32 - 1).map(lambda seed: Schedules(number, seed))


# ---- the property -----------------------------------------------------------------------------------------------------------

class Property:
    """A property of a variant, stated by a function. `check` looks at one example, and raises AssertionError, with the story, if it fails.

    `findings`: whether a finding of a sanitizer fails an example. `corpus`: a directory in which such a failure is kept as an entry.
    ValueError if there is no such variant or operation.
    """

    def __init__(self, variant: str, name: str, holds: Holds, *, operations: str | Sequence[str] = (), findings: bool = True,
                 corpus: pathlib.Path | str | None = None):
        family_name, _, variant_name = variant.partition("/")
        if family_name not in FAMILIES or variant_name not in family(family_name).variants:
            known = [f"{one}/{other}" for one in FAMILIES for other in family(one).variants]
            raise ValueError(f"no variant {variant!r}{did_you_mean(variant, known)}")
        self.family = family(family_name)
        self.search = Search(self.family, variant_name, name, holds, findings)
        self.name, self.variant = name, variant
        self.corpus = pathlib.Path(corpus) if corpus is not None else None
        has = self.search.fast.operations()
        self.operations = tuple(operations.split() if isinstance(operations, str) else operations) or has
        for one in self.operations:
            if one not in has:
                raise ValueError(f"{variant} has no operation {one!r}{did_you_mean(one, has)}")
        self._told: dict[tuple[Program, Schedules], str] = {}      # Hypothesis runs a failing example once more

    def check(self, program: Program, some: Schedules) -> None:
        """Run the schedules of a program, up to the first that fails."""
        key = program, some
        if key not in self._told:
            hit = self.search.example(program, some.number, some.seed)
            backends.reached(self.search.fresh)
            if hit is None:
                return
            self._told = {key: "\n".join(map(printable, self._story(hit)))}
        self._fail(self._told[key])

    def _fail(self, story: str) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(story)

    def _story(self, hit: Hit) -> list[str]:
        confirmed = self.search.confirm(hit, SHRINK_SECONDS)
        entry = confirmed.entry
        out = [f"{self.variant}: {hit.title}   (run {self.search.runs:,}, schedule {hit.run} of its example, {hit.scheduler})",
               f"  shrunk    {confirmed.before}  ->  {confirmed.after}   ({count(confirmed.runs, 'run')})",
               f"  minimal   {confirmed.minimal}", f"  confirmed {REPLAYS} of {REPLAYS} replays, trace {confirmed.digest}", "",
               *confirmed.story, "", "program", *(f"  setup  {op}" for op in entry.program.setup)]
        for key, task in zip(entry.program.keys(), entry.program.tasks, strict=True):
            out += [f"  {key}   {op}" for op in task.ops]
        return [*out, "schedule", *(f"  {line}" for line in entry.schedule), *self._kept(confirmed)]

    def _kept(self, confirmed: Confirmed) -> list[str]:
        """Keep a finding of a sanitizer as an entry. A property is Python code, which no entry has: Hypothesis keeps the example."""
        if self.corpus is None or kind_of(confirmed.title) is Kind.CHECK:
            return []
        path = save(confirmed.entry, self.corpus)
        return ["", f"kept in {path}", f"next: vmrace replay {path}"]


def holds_on(variant: str, *, operations: str | Sequence[str] = (), schedules_each: int = SCHEDULES, examples: int = EXAMPLES,
             programs: st.SearchStrategy[Program] | None = None, findings: bool = True, corpus: pathlib.Path | str | None = None,
             backend: str = "hypothesis", **more: Any) -> Callable[[Holds], Callable[[], None]]:
    """Make a test of a function that states a property of FAMILY/VARIANT: it takes a run, and raises or returns False if that is wrong.

    `operations`: the names of those that programs have; all of the variant if there are none. `schedules_each`: the schedules of an
    example, of at most `examples`. `programs`: another strategy for programs. `findings`: whether a finding of a sanitizer fails an
    example. `corpus`: where such a finding is kept. `backend`: "vmrace" draws examples near those that reached something new. `more`:
    further settings of Hypothesis. ValueError as of Property.
    """
    def decorate(holds: Holds) -> Callable[[], None]:
        made = Property(variant, getattr(holds, "__name__", "property"), holds, operations=operations, findings=findings, corpus=corpus)
        drawn = programs if programs is not None else compact_programs(made.family, made.operations)

        def test(program: Program, some: Schedules) -> None:
            __tracebackhide__ = True
            made.check(program, some)
        for name in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(test, name, getattr(holds, name, None))
        chosen = settings(**{"max_examples": examples, "deadline": None, "phases": PHASES, "backend": backend, **more})
        out: Any = chosen(given(program=drawn, some=schedules(schedules_each))(test))
        out.property = made
        return out      # type: ignore[no-any-return]
    return decorate


# ---- by rules -----------------------------------------------------------------------------------------------------------------

class _TestCase:
    """The test case of a machine, with our settings: no deadline, and no shrinking by Hypothesis."""

    def __get__(self, obj: Any, kind: Any = None) -> Any:
        case = kind._to_test_case()
        if not getattr(case, "vmrace_settings", False):
            case.settings = settings(case.settings, max_examples=kind.examples, stateful_step_count=kind.steps_max, phases=PHASES,
                                     backend=kind.backend)
            case.vmrace_settings = True
        return case


class VariantMachine(RuleBasedStateMachine):  # type: ignore[misc, unused-ignore]
    """A property of a variant, stated by rules that build a program step by step.

        class Reclaim(VariantMachine):
            variant = "lru_free_2_4/daniel_lru_count"

            @rule(page=st.sampled_from(["m0.0", "m0.1"]), cpu=cpus)
            def store(self, page, cpu):
                self.on(cpu, f"store {page}")

            @staticmethod
            def holds(run):
                assert not run.titles

        TestReclaim = Reclaim.TestCase

    A rule appends operations to the setup (`before`) or to the task of a cpu (`on`). At the end of the steps the program runs by
    `schedules_each` schedules, and `holds` judges each run. The other attributes are those of `holds_on`.
    """

    variant = ""
    schedules_each = SCHEDULES
    examples = EXAMPLES
    steps_max = 8
    findings = True
    corpus: pathlib.Path | str | None = None
    backend = "hypothesis"
    TestCase = _TestCase()

    def __init__(self) -> None:
        super().__init__()
        self.setup: list[Op] = []
        self.tasks: dict[int, list[Op]] = {}

    def before(self, operation: str) -> None:
        """Append an operation, such as `store m0.0`, to the setup."""
        self.setup.append(parse_op(operation, "before"))

    def on(self, cpu: int, operation: str) -> None:
        """Append an operation to the task of a cpu."""
        self.tasks.setdefault(cpu, []).append(parse_op(operation, f"cpu{cpu}"))

    @staticmethod
    def holds(run: Run) -> object:
        """Judge a run: raise AssertionError or return False if it is wrong. Without it, only findings of sanitizers fail. It is static, as
        the minimiser judges runs of programs that no rule has made."""
        return None

    def teardown(self) -> None:
        """Run the program."""
        __tracebackhide__ = True
        if self.tasks:
            tasks = tuple(TaskProgram(cpu, tuple(ops)) for cpu, ops in sorted(self.tasks.items()))
            program = Program(tuple(self.setup), tasks, max(self.tasks) + 1)
            _property_of(type(self)).check(program, Schedules(self.schedules_each, len(self.setup)))


cpus = st.integers(0, 1)        # the cpus of two, for rules

_properties: dict[type, Property] = {}


def _property_of(kind: Any) -> Property:
    """Return the property that a class of machines states; it is made once."""
    if kind not in _properties:
        _properties[kind] = Property(kind.variant, kind.__name__, kind.holds, findings=kind.findings, corpus=kind.corpus)
    return _properties[kind]
