import a_module_that_is_not_installed
import azure.functions as func

app = func.FunctionApp()
a_module_that_is_not_installed.prepare()
