"""Adds up one run of ctest: count_tests.py RESULTS_FOLDER CTEST_STATUS.

CTest counts programs. A GoogleTest program NAME_test (CTest's NAME) holds many cases and has
written them to NAME_test.xml, so its cases count instead, among them those that skipped
themselves because the machine has no GPU. Prints the closing line; exits 1 if something failed
or nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as xml


def googletest_cases(results, name):
    """(passed, failed, skipped) of a GoogleTest program, or None if it left no readable file."""
    for file in (results / f"{name}_test.xml", results / f"{name}.xml"):
        try:
            cases = list(xml.parse(file).iter("testcase"))
        except (OSError, xml.ParseError):  # not GoogleTest, or it crashed
            continue
        failed = sum(case.find("failure") is not None for case in cases)
        skipped = sum(
            case.get("result") in ("skipped", "suppressed") or case.get("status") == "notrun"
            for case in cases
        )
        return len(cases) - failed - skipped, failed, skipped
    return None


def was_skipped(program):
    """CTest also writes <skipped> for a program that is not there; that is a failure."""
    reason = program.find("skipped")
    return program.get("status") == "disabled" or (
        reason is not None and reason.get("message", "").startswith("SKIP_")
    )


def count(results, ctest_status):
    passed = failed = skipped = 0
    try:
        programs = list(xml.parse(results / "ctest.xml").iter("testcase"))
    except (OSError, xml.ParseError):
        programs = []
    for program in programs:
        not_run = program.find("skipped") is not None and not was_skipped(program)
        broke = not_run or program.find("failure") is not None
        cases = googletest_cases(results, program.get("name"))
        if not broke and was_skipped(program):
            skipped += 1
        elif cases is None:
            passed, failed = (passed, failed + 1) if broke else (passed + 1, failed)
        else:
            passed, failed, skipped = passed + cases[0], failed + cases[1], skipped + cases[2]
            if broke and cases[1] == 0:  # died after its last case, or was stopped
                failed += 1
    if ctest_status != 0 and failed == 0 and programs:
        failed = 1  # ctest knows of a failure that it did not list
    return passed, failed, skipped


if __name__ == "__main__":
    passed, failed, skipped = count(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed or not passed:
        sys.exit(1)
