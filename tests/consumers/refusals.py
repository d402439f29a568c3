"""A request that the description allows is never refused for its form."""

import schemathesis
from schemathesis import GenerationMode

# What no schema of a body can say: which tickets are alive, what is configured, and what stands in a header.
BEYOND_A_SCHEMA = {
    "the origin is not one of handover.origins",
    "there is not exactly one Origin header; browsers send it",
    "subject_token is no live ticket of an app of this client",
    "the client authenticates in two ways at once",
}


@schemathesis.check
def form_is_described(ctx, response, case):
    if case.meta.generation.mode != GenerationMode.POSITIVE or response.status_code not in (400, 415):
        return
    refusal = response.json()
    if refusal["error"] in ("invalid_request", "unsupported_media_type"):
        why = refusal["error_description"]
        assert why in BEYOND_A_SCHEMA, f"the description allows it, the server says: {why}"
