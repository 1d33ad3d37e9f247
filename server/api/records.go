package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/documents"
	"practicectl/server/problem"
	"practicectl/server/records"
)

func searchPatients(c *call) (any, error) {
	p := c.params("q", "archived", "limit", "after")
	q := records.Query{Text: p.Get("q"), Archived: p.flag("archived"), Limit: p.number("limit"), Offset: p.number("after")}
	if p.err != nil {
		return nil, p.err
	}
	return c.svc.Records.Search(c.ctx, c.who, q)
}

func createPatient(c *call) (any, error) {
	return withBody(c, func(in api.Patient) (any, error) { return c.svc.Records.Create(c.ctx, c.who, in) })
}

func getPatient(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Records.Get(c.ctx, c.who, id) })
}

func changePatient(c *call) (any, error) {
	return patch(c, c.svc.Records.Get, c.svc.Records.Update, func(v *api.Patient) (*uuid.UUID, *int64) { return &v.ID, &v.Version })
}

// onlyIfStale drops what is there now from the answer unless the change was stale: only then does the client need it.
func (c *call) onlyIfStale(err error) error {
	if !problem.Is(err, problem.Stale) {
		c.current = nil
	}
	return err
}

func listShares(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Records.Shares(c.ctx, c.who, id) })
}

func sharePatient(c *call) (any, error) {
	return withBoth(c, func(id uuid.UUID, in api.ShareRequest) (any, error) {
		return nil, c.svc.Records.Share(c.ctx, c.who, id, in)
	})
}

func listDocuments(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Documents.List(c.ctx, c.who, id) })
}

func storeDocument(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	p := c.params("name", "category", "session")
	n := documents.NewDocument{PatientID: id, SessionID: p.uuid("session"), Name: p.Get("name"), Category: p.Get("category"), MediaType: c.r.Header.Get("Content-Type")}
	if p.err != nil {
		return nil, p.err
	}
	d, err := c.svc.Documents.Store(c.ctx, c.who, n, http.MaxBytesReader(c.w, c.r.Body, documents.MaxSize+1))
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		err = problem.New(problem.TooLarge, nil)
	}
	return d, err
}

func getDocument(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Documents.Get(c.ctx, c.who, id) })
}

func fetchDocument(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	begun := false
	err = c.svc.Documents.Fetch(c.ctx, c.who, id, func(d api.Document) io.Writer {
		begun = true
		h := c.w.Header()
		h.Set("Content-Type", documents.ServedAs(d.MediaType))
		h.Set("Content-Length", strconv.FormatInt(d.Size, 10))
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		return c.w
	})
	if err != nil && begun {
		c.log.Error("document was not sent whole", "error", err.Error())
		panic(http.ErrAbortHandler) // cut the connection: the client must not take a part for the whole
	}
	if err == nil {
		err = errSent
	}
	return nil, err
}
