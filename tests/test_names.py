"""Names of tests are claims that fit on a line."""

from tests.helpers.source import fail_if_any, functions, located, parse, python_files

MAX_LENGTH = 70


def test_no_name_of_a_test_is_too_long():
    long = [located(path, test.lineno, f"{test.name} has {len(test.name)} characters")
            for path in python_files("tests") for test in functions(parse(path))
            if test.name.startswith("test_") and len(test.name) > MAX_LENGTH]
    fail_if_any(long)


def test_no_two_tests_of_a_file_have_the_same_name():
    repeated = []
    for path in python_files("tests"):
        names = set()
        for node in parse(path).body:
            name = getattr(node, "name", "")
            if name.startswith("test_") and name in names:
                repeated.append(located(path, node.lineno, f"{name} hides an earlier test"))
            names.add(name)
    fail_if_any(repeated)
