"""Where the configuration of S3 comes from."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlflow_versioned_store.backends import s3_credentials
from mlflow_versioned_store.backends.s3_config import encryption_scope, fingerprint, resolve
from mlflow_versioned_store.errors import CredentialsMissing, InvalidInput


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain keys in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file with a profile, and a credentials file."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(
        "[default]\nregion = eu-west-1\n"
        "[profile lab]\nregion = eu-central-1\nendpoint_url = https://all.example\nca_bundle = /lab.pem\n"
        "services = lab-services\n[services lab-services]\ns3 =\n  endpoint_url = https://s3.example\n"
    )
    credentials.write_text("[lab]\naws_access_key_id = AKIALAB\naws_secret_access_key = lab-secret\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    return config


@pytest.mark.usefixtures("keys")
class TestEnvironment:
    """From variables."""

    def test_defaults_are_boto3s(self) -> None:
        """Without settings: AWS, us-east-1, checked TLS, no proxy."""
        config = resolve()
        assert (config.endpoint, config.region, config.verify_tls, config.proxy()) == (None, "us-east-1", True, None)
        assert config.address("some-bucket") == ("https://some-bucket.s3.us-east-1.amazonaws.com", True)

    def test_mlflows_endpoint_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """MLFLOW_S3_ENDPOINT_URL, then AWS_ENDPOINT_URL_S3, then AWS_ENDPOINT_URL."""
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"):
            monkeypatch.setenv(variable, f"http://{variable.lower().replace('_', '-')}:9000")
            assert resolve().effective()["endpoint"][1] == variable
        monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL")
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        assert resolve().endpoint is None

    @pytest.mark.parametrize(
        ("variable", "endpoint", "proxied"),
        [
            ("HTTPS_PROXY", "https://s3.example", True),
            ("HTTPS_PROXY", "http://s3.example", False),
            ("HTTP_PROXY", "http://s3.example", True),
            ("ALL_PROXY", "https://s3.example", True),
            ("ALL_PROXY", "http://s3.example", True),
        ],
    )
    def test_proxies_are_those_of_the_protocol(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, endpoint: str, *, proxied: bool
    ) -> None:
        """HTTPS_PROXY and HTTP_PROXY are for their protocol, ALL_PROXY for both; NO_PROXY names exceptions."""
        monkeypatch.setenv(variable, "http://proxy.example:3128")
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", endpoint)
        assert resolve().proxy() == ("http://proxy.example:3128" if proxied else None)
        monkeypatch.setenv("NO_PROXY", "s3.example")
        assert resolve().proxy() is None

    @pytest.mark.parametrize(
        ("variables", "bucket", "address"),
        [
            ({"MLFLOW_S3_ENDPOINT_URL": "http://h:9000/"}, "some-bucket", ("http://h:9000", False)),
            (
                {"MLFLOW_S3_ENDPOINT_URL": "http://h:9000", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "virtual"},
                "some-bucket",
                ("http://some-bucket.h:9000", True),
            ),
            (
                {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path"},
                "some-bucket",
                ("https://s3.us-east-1.amazonaws.com", False),
            ),
            ({}, "dotted.bucket", ("https://s3.us-east-1.amazonaws.com", False)),
            (
                {"AWS_DEFAULT_REGION": "cn-north-1", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
                "some-bucket",
                ("https://some-bucket.s3.dualstack.cn-north-1.amazonaws.com.cn", True),
            ),
            (
                {"AWS_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "true"},
                "some-bucket",
                ("https://some-bucket.s3-fips.us-gov-west-1.amazonaws.com", True),
            ),
        ],
    )
    def test_addresses(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], bucket: str, address: tuple[str, bool]
    ) -> None:
        """Path or virtual addressing, regions and variants of endpoints, as boto3 forms them."""
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert resolve().address(bucket) == address

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("MLFLOW_S3_ENDPOINT_URL", "host:9000"),
            ("MLFLOW_S3_IGNORE_TLS", "perhaps"),
            ("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "sideways"),
            ("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION", "s3"),
            ("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "{"),
        ],
    )
    def test_what_cannot_be_honoured_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        """A value that means nothing is an error that names its variable."""
        monkeypatch.setenv(variable, value)
        with pytest.raises(InvalidInput, match=variable):
            resolve()

    def test_secrets_are_never_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither the text of the configuration nor its description holds a secret."""
        monkeypatch.setenv("AWS_SESSION_TOKEN", "secret-token")
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://user:secret-login@host:9000")
        monkeypatch.setenv("http_proxy", "http://user:secret-proxy@proxy:3128")
        config = resolve()
        assert config.proxy() == "http://user:secret-proxy@proxy:3128"
        assert "secret" not in str(config.effective())
        assert "very-secret" not in repr(config)
        assert "secret-token" not in repr(config)
        assert "secret-proxy" not in repr(config)
        assert config.credentials is not None
        assert "secret" not in repr(config.credentials.keys())

    def test_keys_in_the_environment_need_no_boto3(self) -> None:
        """The common case does not pay for importing botocore."""
        program = (
            "import sys; from mlflow_versioned_store.backends.s3_config import resolve; "
            "assert resolve().credentials.keys().access_key == 'AKIAEXAMPLE'; "
            "assert not {'boto3', 'botocore', 'obstore', 'fsspec'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

    def test_the_scope_of_the_bucket_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without encryption arguments objects are under the bucket's default key."""
        assert encryption_scope(resolve()) is None
        monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"ServerSideEncryption": "AES256"}')
        assert encryption_scope(resolve()) == "sse-s3"

    def test_an_owner_in_the_arguments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The expected owner may stand among the upload arguments too; MLflow's own variable comes first."""
        monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"ExpectedBucketOwner": "1"}')
        assert resolve().expected_bucket_owner == "1"
        monkeypatch.setenv("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "2")
        assert resolve().expected_bucket_owner == "2"


class TestProfiles:
    """From shared configuration files."""

    @pytest.mark.usefixtures("profile")
    def test_a_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keys, region, certificates and the endpoint of the service come from the profile."""
        monkeypatch.setenv("AWS_PROFILE", "lab")
        config = resolve()
        assert (config.region, config.ca_bundle, config.endpoint) == ("eu-central-1", "/lab.pem", "https://s3.example")
        assert config.credentials is not None
        assert config.credentials.keys().access_key == "AKIALAB"
        assert config.effective()["endpoint"][1] == "shared configuration file"

    @pytest.mark.usefixtures("profile", "keys")
    def test_keys_in_the_environment_win_over_a_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in boto3, keys of the environment come first, and the profile still gives the rest."""
        monkeypatch.setenv("AWS_PROFILE", "lab")
        config = resolve()
        assert config.credentials is not None
        assert config.credentials.keys().access_key == "AKIAEXAMPLE"
        assert config.region == "eu-central-1"

    @pytest.mark.usefixtures("profile")
    def test_an_unknown_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A profile that is not there is an error that names it."""
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(CredentialsMissing, match="nobody"):
            resolve()

    def test_an_expired_login(self, profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A single sign-on profile without a valid login says to log in again."""
        profile.write_text(
            "[profile sso]\nsso_start_url = https://x.example\nsso_region = eu-west-1\nsso_account_id = 1\n"
            "sso_role_name = r\nregion = eu-west-1\n"
        )
        monkeypatch.setenv("AWS_PROFILE", "sso")
        with pytest.raises(CredentialsMissing, match=r"(?i)sso login"):
            resolve()

    def test_a_credential_program_that_hangs(self, profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A source that does not answer is given up at the limit, with an error that says so."""
        profile.write_text("[profile slow]\ncredential_process = sleep 30\n")
        monkeypatch.setenv("AWS_PROFILE", "slow")
        monkeypatch.setattr(s3_credentials, "RESOLVE_SECONDS_MAX", 0.3)
        with pytest.raises(CredentialsMissing, match="no answer within"):
            resolve()

    def test_the_limits_add_up_to_fifteen_seconds(self) -> None:
        """Looking for credentials ends before the 15 seconds that a user may wait."""
        assert s3_credentials.RESOLVE_SECONDS_MAX < 15

    def test_the_fingerprint_follows_variables_and_files(self, profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A changed variable or file changes the fingerprint, and nothing else does."""
        before = fingerprint()
        monkeypatch.setenv("UNRELATED", "1")
        assert fingerprint() == before
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
        changed = fingerprint()
        assert changed != before
        future = time.time_ns() + 10**9
        profile.touch()
        os.utime(profile, ns=(future, future))
        assert fingerprint() != changed


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home folder there are no shared files, and that is all."""
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "HOME", "USERPROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setenv("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION", "unsigned")
    assert resolve().credentials is None


@pytest.mark.parametrize(
    ("bypassed", "region", "proxied"),
    [
        (".s3.eu-west-1.amazonaws.com", "eu-west-1", False),
        ("s3.eu-west-1.amazonaws.com", "eu-west-1", False),
        ("some-bucket.s3.eu-west-1.amazonaws.com", "eu-west-1", False),
        ("other-bucket.s3.eu-west-1.amazonaws.com", "eu-west-1", True),
        (".s3.eu-west-1.amazonaws.com", "us-east-1", True),
        ("amazonaws.com", "us-east-1", False),
        ("s3.amazonaws.com", "us-east-1", True),
    ],
)
@pytest.mark.usefixtures("keys")
def test_no_proxy_names_the_host_of_a_bucket(
    monkeypatch: pytest.MonkeyPatch, bypassed: str, region: str, *, proxied: bool
) -> None:
    """NO_PROXY is compared with the host that requests on a bucket of AWS go to."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", bypassed)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    assert (resolve().proxy("some-bucket") is not None) == proxied
