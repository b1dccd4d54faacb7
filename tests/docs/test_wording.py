"""Check of wording: examples of findings, and none in the packages and pages."""

import pytest
from check_wording import findings, main, page_findings, script_findings

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
        ("Forecasts that a controller\n    is told.", "contains 'told'"),
    ],
)
def test_a_bad_docstring_is_found_with_its_line(docstring, fault):
    source = f'import math\n\n\ndef half(x):\n    """{docstring}"""\n'
    ((line, text),) = findings(source)
    assert line == 5
    assert fault in text


def test_a_plain_docstring_passes():
    assert not list(findings(CLEAN))


def test_messages_and_blocks_of_comments_are_checked():
    source = (
        'def say(name):\n    # the agents were\n    # told\n    return f"{name}: nobody trades"\n'
    )
    assert list(findings(source)) == [
        (4, "text contains 'nobody'"),
        (2, "comment contains 'told'"),
    ]


def test_names_and_recorded_reasons_pass():
    source = 'told = {"told": 1}\nreason = "nobody answers"  # the reason of a table\n'
    assert not list(findings(source))


def test_comments_of_scripts_are_checked_but_not_addresses():
    source = 'const url = "http://nobody/told";\n/* rows that\n nobody reads */\n// read once\n'
    assert list(script_findings(source)) == [(2, "comment contains 'nobody'")]


PAGE = """# Title

A first paragraph.

- What agents send is checked.
- Who decides first? This page compares `what nobody knows` with the rest.

| key | meaning |
|---|---|
| `seed` | a number; nobody
```
print("told")
```
"""


def test_clauses_and_words_of_a_page_are_found_but_not_questions_and_code():
    assert list(page_findings(PAGE)) == [
        (5, "page has a clause as subject: 'What agents send is checked.'"),
        (10, "page contains 'nobody'"),
    ]


def test_the_packages_and_pages_pass(capsys):
    assert main() == 0, capsys.readouterr().err
