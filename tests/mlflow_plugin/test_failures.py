"""Our errors as MLflow's."""

from __future__ import annotations

import errno

import pytest
from mlflow.exceptions import MlflowException

from mlflow_versioned_store import errors
from mlflow_versioned_store.mlflow_plugin.failures import translated

CODES = {
    errors.InvalidInput: "INVALID_PARAMETER_VALUE",
    errors.NotFound: "RESOURCE_DOES_NOT_EXIST",
    errors.NoStore: "RESOURCE_DOES_NOT_EXIST",
    errors.Conflict: "RESOURCE_CONFLICT",
    errors.AccessDenied: "PERMISSION_DENIED",
    errors.CredentialsMissing: "PERMISSION_DENIED",
    errors.Unavailable: "TEMPORARILY_UNAVAILABLE",
    errors.OutcomeUnknown: "TEMPORARILY_UNAVAILABLE",
    errors.Throttled: "REQUEST_LIMIT_EXCEEDED",
    errors.Damaged: "DATA_LOSS",
    errors.ObjectMissing: "DATA_LOSS",
    errors.Archived: "INVALID_STATE",
    errors.SourceChanged: "ABORTED",
    errors.LocalStorageFailed: "IO_ERROR",
    errors.Unsupported: "NOT_IMPLEMENTED",
    errors.VersionedStoreError: "INTERNAL_ERROR",
}


@pytest.mark.parametrize(("cls", "code"), CODES.items())
def test_every_error_has_its_code_message_and_cause(cls: type[errors.VersionedStoreError], code: str) -> None:
    """A user reads our message, a program MLflow's code, a debugger the cause."""
    original = cls("what happened; what to do")
    with pytest.raises(MlflowException) as raised, translated():
        raise original
    assert raised.value.error_code == code
    assert raised.value.message == "what happened; what to do"
    assert raised.value.__cause__ is original


def test_every_error_of_the_package_is_listed_here() -> None:
    """A new error class gets a deliberate code."""
    assert {getattr(errors, name) for name in errors.__all__} == set(CODES)


def test_only_a_certain_absence_says_not_found() -> None:
    """A store that cannot be reached is never taken for an empty one."""
    absent = {cls for cls, code in CODES.items() if code == "RESOURCE_DOES_NOT_EXIST"}
    assert all(issubclass(cls, errors.NotFound) for cls in absent)


def test_an_error_of_the_operating_system_names_the_file() -> None:
    """A full disk is reported with the file that did not fit."""
    with pytest.raises(MlflowException, match=r"No space left.*model\.bin") as raised, translated():
        raise OSError(errno.ENOSPC, "No space left on device", "model.bin")
    assert raised.value.error_code == "IO_ERROR"


def test_an_mlflow_exception_passes_unchanged() -> None:
    """What MLflow raised itself is not wrapped again."""
    original = MlflowException("as it was")
    with pytest.raises(MlflowException) as raised, translated():
        raise original
    assert raised.value is original
