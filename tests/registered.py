"""The app's functions by name. Asked for once: an app tells its functions a first time only."""

from typing import Any

import function_app

FUNCTIONS: dict[str, Any] = {str(each.get_function_name()): each for each in function_app.app.get_functions()}
