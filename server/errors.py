"""Every error that Corolla raises on purpose, by the step that raises it; entry points choose statuses and exit codes.

    flags, variables --SettingsError--> Settings
    models/          --RefusedError---> one version --NoSoundVersionError--> Catalog
    connection       --MalformedRequestError, HeadersTooLargeError, RequestTimeoutError--> request
    request bytes    --MediaTypeError, BodyTooLargeError, MalformedBodyError, InvalidRowError--> row
    query            --InvalidQueryError--> what to answer
    headers          --InvalidHeaderError--> host, deadline
    rows             --OverloadedError--> queue --DeadlineError--> batch --SessionError--> answers

This file imports nothing of the project and knows nothing of HTTP.
"""

from collections.abc import Mapping


class CorollaError(Exception):
    """The base of every error that Corolla raises on purpose; the server shows the text of its own to clients."""


class SettingsError(CorollaError):
    """A setting has a value that cannot be used; the text names the variable or flag."""


class RefusedError(CorollaError):
    """A version on disk is not sound and must not be served; the text is the reason."""


class NoSoundVersionError(CorollaError):
    """Nothing under the models directory can be served."""


class BundleError(CorollaError):
    """A key, a signature or a bundle cannot be used; the text says what was expected, what came and where."""


class MalformedRequestError(CorollaError):
    """What came on a connection is not HTTP."""


class HeadersTooLargeError(CorollaError):
    """The request line and the headers are longer than a connection may send."""


class RequestTimeoutError(CorollaError):
    """The headers or the body of a request took too long to arrive."""


class InvalidQueryError(CorollaError):
    """The query string says something that the route does not know."""


class MediaTypeError(CorollaError):
    """The body is declared as something that the route does not take."""


class BodyTooLargeError(CorollaError):
    """The body is longer than the setting ``max_body_bytes`` allows, or has more rows than may wait."""


class MalformedBodyError(CorollaError):
    """The body is not JSON."""


class InvalidRowError(CorollaError):
    """The body is JSON that does not fit the signature.

    Attributes:
        fields: For each offending feature, what was expected and what came; empty where the body is no row at all.
    """

    def __init__(self, message: str, fields: Mapping[str, str]) -> None:
        super().__init__(message)
        self.fields = dict(fields)


class InvalidHeaderError(CorollaError):
    """A header that Corolla reads has a value that means nothing."""


class OverloadedError(CorollaError):
    """There is more to do than can be done in time; the request was not queued.

    Attributes:
        reason: Which bound was met: ``queue_full``, ``deadline``, ``memory`` or ``closing``.
        retry_after_s: When it may be worth asking again, in seconds from now.
    """

    def __init__(self, message: str, reason: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class DeadlineError(CorollaError):
    """A queued request's deadline passed before it was answered."""


class SessionError(CorollaError):
    """The compiled model failed on a batch, or broke its promise of one answer a row."""


class UnanswerableError(SessionError):
    """The values are such that the compiled model's arithmetic overflows; not one row of the kind has an answer."""
