import azure.functions as func

import a_module_that_is_not_installed

app = func.FunctionApp()
