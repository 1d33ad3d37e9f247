package dir

import "golang.org/x/sys/windows"

const errNoLinks = windows.ERROR_INVALID_FUNCTION
