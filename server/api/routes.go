package api

import "net/http"

// Routes is every address of the API.
func (a *API) Routes() []Route {
	const v1 = "/api/v1"
	return []Route{
		{Method: "POST", Path: v1 + "/sign-in", Public: true, handler: signIn},
		{Method: "POST", Path: v1 + "/sign-out", Public: true, handler: signOut},
		{Method: "POST", Path: v1 + "/activate", Public: true, handler: activate},
		{Method: "GET", Path: v1 + "/me", handler: me},
		{Method: "POST", Path: v1 + "/password", handler: changePassword},

		{Method: "GET", Path: v1 + "/accounts", handler: listAccounts},
		{Method: "POST", Path: v1 + "/accounts", Status: http.StatusCreated, handler: addAccount},

		{Method: "GET", Path: v1 + "/patients", handler: searchPatients},
		{Method: "POST", Path: v1 + "/patients", Status: http.StatusCreated, handler: createPatient},
		{Method: "GET", Path: v1 + "/patients/{id}", handler: getPatient},
		{Method: "PATCH", Path: v1 + "/patients/{id}", handler: changePatient},
		{Method: "GET", Path: v1 + "/patients/{id}/shares", handler: listShares},
		{Method: "POST", Path: v1 + "/patients/{id}/shares", handler: sharePatient},
		{Method: "GET", Path: v1 + "/patients/{id}/documents", handler: listDocuments},
		{Method: "POST", Path: v1 + "/patients/{id}/documents", Status: http.StatusCreated, handler: storeDocument},
		{Method: "GET", Path: v1 + "/documents/{id}", handler: getDocument},
		{Method: "GET", Path: v1 + "/documents/{id}/content", handler: fetchDocument},

		{Method: "GET", Path: v1 + "/appointments", handler: listAppointments},
		{Method: "POST", Path: v1 + "/appointments", Status: http.StatusCreated, handler: book},
		{Method: "GET", Path: v1 + "/appointments/{id}", handler: getAppointment},
		{Method: "PATCH", Path: v1 + "/appointments/{id}", handler: moveAppointment},
		{Method: "POST", Path: v1 + "/appointments/{id}/cancel", handler: cancelAppointment},
		{Method: "GET", Path: v1 + "/places", handler: listPlaces},
		{Method: "POST", Path: v1 + "/rooms", Status: http.StatusCreated, handler: addRoom},
		{Method: "GET", Path: v1 + "/practitioners", handler: listPractitioners},

		{Method: "GET", Path: v1 + "/sessions", handler: listSessions},
		{Method: "POST", Path: v1 + "/sessions", Status: http.StatusCreated, handler: createSession},
		{Method: "GET", Path: v1 + "/sessions/{id}", handler: getSession},
		{Method: "PATCH", Path: v1 + "/sessions/{id}", handler: changeSession},
		{Method: "GET", Path: v1 + "/sessions/{id}/note", handler: getNote},
		{Method: "PUT", Path: v1 + "/sessions/{id}/note", handler: saveNote},
		{Method: "POST", Path: v1 + "/sessions/{id}/note/sign", handler: signNote},
		{Method: "GET", Path: v1 + "/sessions/{id}/note/history", handler: noteHistory},

		{Method: "GET", Path: v1 + "/invoices", handler: listInvoices},
		{Method: "POST", Path: v1 + "/invoices", Status: http.StatusCreated, handler: createInvoice},
		{Method: "GET", Path: v1 + "/invoices/{id}", handler: getInvoice},
		{Method: "POST", Path: v1 + "/invoices/{id}/payments", Status: http.StatusCreated, handler: payInvoice},
		{Method: "POST", Path: v1 + "/invoices/{id}/cancel", handler: cancelInvoice},
	}
}
