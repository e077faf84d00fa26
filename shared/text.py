"""Characters that Table Storage does not take; apart from its other limits, because the triggers start light."""

import re

# `/ \ # ?` and control characters are refused; `%` is taken by some layers and broken by others.
KEY_FORBIDDEN = re.compile("[/\\\\#?%\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Half of a surrogate pair: JSON can carry it, UTF-8 cannot.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
