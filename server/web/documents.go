package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"practicectl/internal/api"
	"practicectl/server/documents"
	"practicectl/server/problem"
)

// storeDocument reads the upload as it comes, without a copy on disk.
func storeDocument(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	p.r.Body = http.MaxBytesReader(p.w, p.r.Body, documents.MaxSize+1<<20)
	parts, err := p.r.MultipartReader()
	if err != nil {
		return problem.Field("file", "invalid")
	}
	n := documents.NewDocument{PatientID: id}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return problem.Field("file", "required")
		}
		if err != nil {
			return tooLarge(err)
		}
		switch part.FormName() {
		case "category":
			text, err := io.ReadAll(io.LimitReader(part, 1000))
			if err != nil {
				return tooLarge(err)
			}
			n.Category = string(text)
		case "file":
			if n.Name = part.FileName(); n.Name == "" {
				return problem.Field("file", "required")
			}
			n.MediaType = part.Header.Get("Content-Type")
			if _, err := p.svc.Documents.Store(p.ctx, p.who, n, part); err != nil {
				return tooLarge(err)
			}
			return p.see("/patients/"+id.String(), "document")
		}
	}
}

func tooLarge(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return problem.New(problem.TooLarge, nil)
	}
	return err
}

// fetchDocument sends a document for saving; it never runs in the page of this server.
func fetchDocument(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	begun := false
	err = p.svc.Documents.Fetch(p.ctx, p.who, id, func(d api.Document) io.Writer {
		begun = true
		h := p.w.Header()
		h.Set("Content-Type", documents.ServedAs(d.MediaType))
		h.Set("Content-Length", strconv.FormatInt(d.Size, 10))
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
		return p.w
	})
	if err != nil && begun {
		p.opts.Log.Error("document was not sent whole", "error", err.Error())
		panic(http.ErrAbortHandler) // cut the connection: the browser must not take a part for the whole
	}
	return err
}
