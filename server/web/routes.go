package web

// Route is one address of the screens.
type Route struct {
	Method  string
	Path    string
	Public  bool // without signing in
	Upload  bool // the handler reads the body itself
	handler func(p *page) error
}

// Routes is every address of the screens, besides /static/.
func (w *Web) Routes() []Route {
	return []Route{
		{Method: "GET", Path: "/sign-in", Public: true, handler: signInForm},
		{Method: "POST", Path: "/sign-in", Public: true, handler: signIn},
		{Method: "POST", Path: "/sign-out", Public: true, handler: signOut},
		{Method: "GET", Path: "/activate", Public: true, handler: activateForm},
		{Method: "POST", Path: "/activate", Public: true, handler: activate},
		{Method: "POST", Path: "/language", Public: true, handler: chooseLanguage},
		{Method: "POST", Path: "/stay", handler: stay},
		{Method: "GET", Path: "/password", handler: passwordForm},
		{Method: "POST", Path: "/password", handler: changePassword},

		{Method: "GET", Path: "/{$}", handler: start},

		{Method: "GET", Path: "/patients", handler: searchPatients},
		{Method: "GET", Path: "/patients/pick", handler: pickPatient},
		{Method: "GET", Path: "/patients/new", handler: newPatient},
		{Method: "POST", Path: "/patients", handler: createPatient},
		{Method: "GET", Path: "/patients/{id}", handler: showPatient},
		{Method: "GET", Path: "/patients/{id}/edit", handler: editPatient},
		{Method: "POST", Path: "/patients/{id}", handler: updatePatient},
		{Method: "GET", Path: "/patients/{id}/share", handler: shareForm},
		{Method: "POST", Path: "/patients/{id}/share", handler: sharePatient},
		{Method: "POST", Path: "/patients/{id}/documents", Upload: true, handler: storeDocument},
		{Method: "GET", Path: "/documents/{id}", handler: fetchDocument},

		{Method: "GET", Path: "/calendar", handler: calendar},
		{Method: "GET", Path: "/appointments/new", handler: newAppointment},
		{Method: "POST", Path: "/appointments", handler: book},
		{Method: "GET", Path: "/appointments/{id}", handler: showAppointment},
		{Method: "POST", Path: "/appointments/{id}", handler: moveAppointment},
		{Method: "POST", Path: "/appointments/{id}/cancel", handler: cancelAppointment},

		{Method: "GET", Path: "/sessions", handler: listSessions},
		{Method: "GET", Path: "/sessions/new", handler: newSession},
		{Method: "POST", Path: "/sessions", handler: createSession},
		{Method: "GET", Path: "/sessions/{id}", handler: showSession},
		{Method: "POST", Path: "/sessions/{id}", handler: updateSession},
		{Method: "POST", Path: "/sessions/{id}/note", handler: writeNote},
		{Method: "GET", Path: "/sessions/{id}/history", handler: noteHistory},

		{Method: "GET", Path: "/invoices", handler: listInvoices},
		{Method: "GET", Path: "/invoices/new", handler: newInvoice},
		{Method: "POST", Path: "/invoices", handler: createInvoice},
		{Method: "GET", Path: "/invoices/{id}", handler: showInvoice},
		{Method: "POST", Path: "/invoices/{id}/payments", handler: payInvoice},
		{Method: "POST", Path: "/invoices/{id}/cancel", handler: cancelInvoice},

		{Method: "GET", Path: "/accounts", handler: listAccounts},
		{Method: "GET", Path: "/accounts/new", handler: newAccount},
		{Method: "POST", Path: "/accounts", handler: addAccount},
	}
}
