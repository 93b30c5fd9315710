"""Code, judged by what it does: tests in one plain format, programs in a jail, comparison outside of it.

tests     the format                      readers   HumanEval, MBPP+, LiveCodeBench, LeetCode, APPS brought to it
asserts   asserts made into calls         packed    packed tests without unpickling
extract   the program in a trace          harness   what goes into the jail around it
compare   values and output               grading   which programs to run, and what their results mean
literal   expected values as text         verifier  the `Verifier`
"""

from exprl.verify.code.extract import extract_program
from exprl.verify.code.readers import read_tests
from exprl.verify.code.tests import TestsError, read_suite
from exprl.verify.code.verifier import CodeVerifier

__all__ = ["CodeVerifier", "TestsError", "extract_program", "read_suite", "read_tests"]
