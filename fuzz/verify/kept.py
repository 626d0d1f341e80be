# SPDX-License-Identifier: MIT
"""The certificates beside an entry: of a proof in a file of its own, of samples in one file of the entry.

A certificate stands for the runs of a verdict while its hashes are those of now.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.judge import Judged
from vmrace.fuzz.corpus.sample import Sample
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.run.code_hash import vmrace_hash
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.verify.certificate import MOVE_AWAY, KeptProof, ProofRecord, certificate_path, is_proof_by, kept_proof, proof_record
from vmrace.fuzz.verify.sample_file import KeptSample, SampleRecord, kept_sample, sample_record, sampled_variants
from vmrace.fuzz.verify.subject import VerifyError
from vmrace.harness.explore.exploration import Exploration

Kept = KeptProof | KeptSample
Record = ProofRecord | SampleRecord

RECHECKED_MAX = 1_000   # classes of a proof that is run again if not all are asked for: 25,000 take as long as all else


def kept(entry: Entry, executor: Executor) -> Kept | None:
    """Read the certificate of the verdict that an entry expects of the executor's variant.

    None if the verdict needs no certificate, or if there is none that may be believed. Raises VerifyError if the file cannot be used.
    """
    expected = entry.expect.get(executor.variant)
    with mending():
        if expected is not None and expected.word is Word.PROVED:
            return kept_proof(entry, executor)
        if expected is not None and expected.word is Word.OK:
            return kept_sample(entry, executor)
    return None


@contextlib.contextmanager
def mending() -> Iterator[None]:
    """Add to the error of a file that cannot be used what to do about it."""
    try:
        yield
    except VerifyError as error:
        raise VerifyError(f"{error}; {MOVE_AWAY}") from None


def certified_variants(entry: Entry) -> frozenset[str]:
    """Return the variants whose expected verdict has a certificate that this vmrace has made. Whether `kept` believes it hangs on the
    image as well, which would have to be linked."""
    vmrace = vmrace_hash(entry.family)
    sampled = sampled_variants(entry, vmrace) if any(verdict.word is Word.OK for verdict in entry.expect.values()) else frozenset[str]()
    return frozenset(name for name, verdict in entry.expect.items()
                     if (verdict.word is Word.PROVED and is_proof_by(certificate_path(entry, name), vmrace))
                     or (verdict.word is Word.OK and name in sampled))


def record_of(entry: Entry, executor: Executor, judged: Judged, made: list[Exploration | Sample]) -> Record | None:
    """Make the certificate of the verdict that an entry expects, from the runs that were made for it. None if the verdict is another one,
    or rests on no exploration and no sample."""
    if judged.verdict != entry.expect.get(executor.variant):
        return None
    for runs in made:
        if isinstance(runs, Exploration) and judged.verdict.word is Word.PROVED:
            return proof_record(entry, executor, runs)
        if isinstance(runs, Sample) and judged.verdict.word is Word.OK:
            return sample_record(entry, executor, runs)
    return None
