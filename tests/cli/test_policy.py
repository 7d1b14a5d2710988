"""`mvs policy`: what a role needs, in its provider's language."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Mvs
from tests.servers.s3 import S3Server


@pytest.fixture
def bucket(minio: S3Server, s3_env: Callable[[S3Server], None], mvs: Mvs) -> str:
    """A bucket with a store in its folder "store"."""
    s3_env(minio)
    name = minio.new_bucket()
    mvs("init", f"versioned-s3://{name}/store")
    return name


@pytest.mark.parametrize("provider", ["aws", "minio"])
def test_a_policy_is_printed_as_json(mvs: Mvs, bucket: str, provider: str) -> None:
    """What is printed can be given to the provider as it is; the advice goes to stderr."""
    told = mvs("policy", f"versioned-s3://{bucket}/store", "--role", "writer", "--provider", provider)
    policy = json.loads(told.stdout)
    assert policy["Version"] == "2012-10-17"
    assert any(f"arn:aws:s3:::{bucket}/store/_mvs/log/*" in one["Resource"] for one in policy["Statement"])
    assert told.stderr


def test_a_part_needs_a_domain_of_its_own(mvs: Mvs, bucket: str) -> None:
    """For one experiment of a store that shares its chunks there is no policy, and the error says why."""
    uri = f"versioned-s3://{bucket}/store"
    told = mvs("policy", uri, "--role", "reader", "--experiment", "1", code=2)
    assert "Chunks are shared" in told.stderr
    mvs("settings", uri, "dedup_scope=experiment")
    policy = mvs.json("policy", uri, "--role", "reader", "--experiment", "1")
    resources = [resource for one in policy["Statement"] for resource in one["Resource"]]
    assert f"arn:aws:s3:::{bucket}/store/_mvs/data/experiment-1/*" in resources


def test_a_folder_has_no_policies(mvs: Mvs, store: str) -> None:
    """Where no provider is, nobody takes a policy."""
    assert "no provider" in mvs("policy", store, "--role", "reader", code=2).stderr
