"""Every task has its row and its entry in every table, and names only commands that exist."""

import pytest

from charlm import registry
from charlm.cli.main import VERBS
from charlm.config import ENCODERS
from charlm.tasks import DEFAULT, DEFAULT_FOR_TSV, TASKS, stored_task, tasks_for

TABLES = {name: table for name, table in vars(registry).items() if name.isupper() and isinstance(table, dict)}


def test_the_registry_has_the_tables_that_it_lists():
    assert set(TABLES) == {"CORPORA", "DEFAULTS", "OBJECTIVES", "EVALUATORS", "BREAKDOWNS", "PREVIEWS"}
    assert list(registry.TABLES) == list(TABLES.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_table_serves_every_task(name):
    assert set(TABLES[name]) == set(TASKS)
    assert all(callable(registry.implementation(TABLES[name], task)) for task in TASKS)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_names_commands_that_exist_and_starts_with_one_of_its_own(task):
    assert set(task.verbs) <= set(VERBS) and task.default_encoder in ENCODERS
    assert task.next_command.split()[0] in task.verbs


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_is_found_again_from_what_model_files_say(task):
    assert stored_task(task.stored_as, labelled=task.has_labels) is task


@pytest.mark.parametrize("stored", ["text", "labels", "", None, 3, [], ["stream"], {}])
def test_what_no_model_file_says_is_no_task(stored):
    assert stored_task(stored, labelled=False) is None


def test_running_text_is_stored_under_its_name_in_formats_1_to_4():
    assert stored_task("stream", labelled=False) is TASKS[DEFAULT] and DEFAULT == "text"
    assert DEFAULT_FOR_TSV == "pairs"


def test_the_tasks_of_a_verb_are_those_that_name_it():
    assert [task.name for task in tasks_for("classify")] == ["pairs", "labels"]
    assert {"text", "lines", "labels"} <= {task.name for task in tasks_for("sample")}
    assert not list(tasks_for("fly"))
