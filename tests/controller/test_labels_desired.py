"""The daemon without a file, at its start."""

from pathlib import Path

import pytest

from provider.controller.labels_desired import LabelsDesired, labels_text
from provider.controller.loading import Loader
from provider.model.errors import DesiredStateError
from provider.traefik.certificate import CertificateFile, DefaultCertificate
from tests.support.applying import PRIVATE
from tests.support.running import running


@pytest.mark.parametrize("before", [labels_text("production"), 'environment: "production"  # ours\nservices: {}\n'])
async def test_a_store_of_another_environment_is_refused(before: str, tmp_path: Path) -> None:
    """Rule 35 and P4: none of its containers would count, and Traefik would answer 503 for all of them."""
    async with running(tmp_path) as daemon:
        controller = daemon.controller
        certificate = DefaultCertificate(
            CertificateFile(tmp_path), controller.inputs.certificate_renewed, controller.inputs.certificate_fault
        )
        loader = Loader(controller, certificate, PRIVATE)
        with pytest.raises(DesiredStateError, match="start it with --environment production, or with a --state-dir"):
            await LabelsDesired("staging", loader).first(before)
        assert controller.state.desired is None
        await LabelsDesired("production", loader).first(before)
        assert controller.state.desired is not None
