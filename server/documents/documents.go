// Package documents stores files of a patient in the database, in pieces of at most 256 KiB with one SHA-256 over all,
// and streams them back.
package documents

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"regexp"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

const (
	// MaxSize is the largest document, in bytes.
	MaxSize   = 32 << 20
	chunkSize = 256 << 10
	window    = 8 // pieces read at a time
	parallel  = 4 // uploads held in memory at a time
)

// Service is the practice's files.
type Service struct {
	st   *store.Store
	busy chan struct{}
}

// New returns the service over a store.
func New(st *store.Store) *Service { return &Service{st: st, busy: make(chan struct{}, parallel)} }

const columns = `id, patient_id, session_id, name, category, media_type, size, encode(sha256, 'hex'), owner_id, created_at, version`

// List returns the visible documents of a patient, newest first. Problem: Forbidden.
func (s *Service) List(ctx context.Context, who *authz.Caller, patient uuid.UUID) ([]api.Document, error) {
	var out []api.Document
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Documents, Action: authz.View, Kind: "document"}, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+columns+` FROM pm.document WHERE patient_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1000`, patient)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Document]); err != nil {
			return err
		}
		e := store.Entry{Feature: authz.Documents, Action: store.Read, Kind: "document", Patient: patient, Objects: make([]uuid.UUID, len(out))}
		for i, d := range out {
			e.Objects[i] = d.ID
		}
		return tx.Audit(ctx, e)
	})
	return out, err
}

// Get describes a document. Problems: NotFound, Forbidden.
func (s *Service) Get(ctx context.Context, who *authz.Caller, id uuid.UUID) (api.Document, error) {
	var d api.Document
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Documents, Action: authz.View, Kind: "document", Object: id}, func(tx *store.Tx) (err error) {
		if d, err = read(ctx, tx, id); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Documents, Action: store.Read, Kind: "document", Object: id, Patient: d.PatientID})
	})
	return d, err
}

func read(ctx context.Context, tx *store.Tx, id uuid.UUID) (api.Document, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM pm.document WHERE id = $1`, id)
	if err != nil {
		return api.Document{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[api.Document])
}

// NewDocument describes a document to be stored.
type NewDocument struct {
	PatientID uuid.UUID
	SessionID *uuid.UUID
	Name      string // file name; folders are cut off
	Category  string
	MediaType string // "": application/octet-stream
}

// Store reads content to its end and stores it, whole or not at all. Problems: TooLarge, Invalid, Forbidden.
func (s *Service) Store(ctx context.Context, who *authz.Caller, n NewDocument, content io.Reader) (api.Document, error) {
	var d api.Document
	if err := check(&n); err != nil {
		return d, err
	}
	if err := who.Require(authz.Documents, authz.Add); err == nil { // do not read megabytes for a refusal; Do below logs it
		select {
		case s.busy <- struct{}{}:
			defer func() { <-s.busy }()
		case <-ctx.Done():
			return d, ctx.Err()
		}
	} else {
		content = strings.NewReader("")
	}
	chunks, size, sum, err := cut(content)
	if err != nil {
		return d, err
	}
	err = who.Do(ctx, s.st, authz.Deed{Feature: authz.Documents, Action: authz.Add, Kind: "document"}, func(tx *store.Tx) (err error) {
		id := store.NewID()
		if _, err = tx.Exec(ctx, `INSERT INTO pm.document (id, patient_id, session_id, name, category, media_type, size, sha256, owner_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, n.PatientID, n.SessionID, n.Name, n.Category, n.MediaType, size, sum, who.Account.ID); err != nil {
			return err
		}
		for i, c := range chunks {
			if _, err = tx.Exec(ctx, `INSERT INTO pm.document_chunk (document_id, seq, data) VALUES ($1, $2, $3)`, id, i, c); err != nil {
				return err
			}
		}
		d, err = read(ctx, tx, id)
		return err
	})
	return d, err
}

func check(n *NewDocument) error {
	if i := strings.LastIndexAny(n.Name, `/\`); i >= 0 {
		n.Name = n.Name[i+1:]
	}
	n.Name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) { // the latter make "exe.pdf" of "fdp.exe"
			return -1
		}
		return r
	}, n.Name))
	if n.Name == "" || n.Name == "." || n.Name == ".." || len(n.Name) > 255 {
		return problem.Field("name", "invalid")
	}
	if len(n.Category) > 100 || strings.ContainsRune(n.Category, 0) {
		return problem.Field("category", "too_long")
	}
	if n.MediaType == "" {
		n.MediaType = "application/octet-stream"
	}
	if _, _, err := mime.ParseMediaType(n.MediaType); err != nil || len(n.MediaType) > 200 {
		return problem.Field("media_type", "invalid")
	}
	return nil
}

// passive are the media types that no browser runs, nor takes as a part of a page that does.
var passive = regexp.MustCompile(`^(?:image/(?:png|jpeg|gif|webp|tiff|heic)|audio/[a-z0-9.+-]+|video/[a-z0-9.+-]+|text/plain|application/(?:pdf|rtf|zip|msword|dicom|vnd\.[a-z0-9.-]+))$`)

// ServedAs is the media type under which a document of type t is sent. Whoever uploads says what a document is, so a page,
// a picture with scripts or a script is sent as mere bytes: a browser saves it and does nothing else.
func ServedAs(t string) string {
	if base, _, err := mime.ParseMediaType(t); err == nil && passive.MatchString(base) {
		return base
	}
	return "application/octet-stream"
}

func cut(r io.Reader) (chunks [][]byte, size int64, sum []byte, err error) {
	h := sha256.New()
	for {
		buf := make([]byte, chunkSize)
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			chunks, size = append(chunks, buf[:n]), size+int64(n)
			h.Write(buf[:n])
		}
		if size > MaxSize {
			return nil, 0, nil, problem.New(problem.TooLarge, nil)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return chunks, size, h.Sum(nil), nil
		}
		if err != nil {
			return nil, 0, nil, err
		}
	}
}

// Fetch writes a document's content: begin gets the description, once the read is in the audit log and before the
// first byte, and returns where the bytes go. An error after begin means that what was written is not whole.
// Problems: NotFound, Forbidden.
func (s *Service) Fetch(ctx context.Context, who *authz.Caller, id uuid.UUID, begin func(api.Document) io.Writer) error {
	d, err := s.Get(ctx, who, id)
	if err != nil {
		return err
	}
	w := begin(d)
	h := sha256.New()
	for seq, sent := 0, int64(0); sent < d.Size; seq += window {
		chunks, err := s.window(ctx, who, id, seq)
		if err == nil && len(chunks) == 0 {
			err = errors.New("the document's content is shorter than its size")
		}
		if err != nil {
			return err
		}
		for _, data := range chunks {
			h.Write(data)
			sent += int64(len(data))
			if _, err := w.Write(data); err != nil {
				return fmt.Errorf("send document: %w", err)
			}
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != d.SHA256 {
		return errors.New("the document's content does not match its SHA-256")
	}
	return nil
}

// window reads the next pieces. Sending happens outside of the transaction: a slow reader must not hold one open.
func (s *Service) window(ctx context.Context, who *authz.Caller, id uuid.UUID, seq int) (chunks [][]byte, err error) {
	err = s.st.WithTx(ctx, who.Session, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT data FROM pm.document_chunk WHERE document_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq`, id, seq, seq+window)
		if err != nil {
			return err
		}
		chunks, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	return chunks, err
}
