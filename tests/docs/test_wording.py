"""The check of wording finds what it is to find, and nothing in the packages that it covers."""

import pytest
from check_wording import findings, main

CLEAN = """def half(x):
    \"\"\"Return half of x; whether x is even does not matter.\"\"\"
"""


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        ("Whether x is even.", "opens with 'Whether'"),
        ("What an agent reports.", "opens with 'What'"),
        ("From a file to a table.", "opens with 'From'"),
        ("Refuse what is no place.", "contains 'what is no'"),
        ("Forecasts that a controller\n    is told.", "contains 'is told'"),
    ],
)
def test_a_bad_docstring_is_found_with_its_line(docstring, fault):
    source = f'import math\n\n\ndef half(x):\n    """{docstring}"""\n'
    ((line, text),) = findings(source)
    assert line == 5
    assert fault in text


def test_a_plain_docstring_passes():
    assert not list(findings(CLEAN))


def test_the_packages_pass(capsys):
    assert main() == 0, capsys.readouterr().err
