package extract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

// Documents is how the practice's database keeps documents. Each query gets the id of one as $1.
type Documents struct {
	Database string
	Facts    string // name, size in bytes, SHA-256
	Pieces   string // its bytes, in order
}

// Document is what was found.
type Document struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes
}

// Document writes a document to w and compares it with the checksum that the practice noted when it came. Error kinds: NotFound,
// Integrity.
func (s *Scratch) Document(ctx context.Context, from Documents, id string, w io.Writer) (Document, error) {
	const op = "read document"
	d := Document{ID: id}
	err := s.ask(ctx, from.Database, func(conn *pgx.Conn) error {
		var want []byte
		err := conn.QueryRow(ctx, from.Facts, id).Scan(&d.Name, &d.Size, &want)
		var pg *pgconn.PgError
		switch {
		case errors.Is(err, pgx.ErrNoRows), errors.As(err, &pg):
			return uerr.New(uerr.NotFound, op, id, errors.New("there is none in the snapshot"), "the ids are in the table of documents: practicectl restore table latest --table pm.document")
		case err != nil:
			return uerr.New(uerr.Failed, op, id, err, "")
		}
		rows, err := conn.Query(ctx, from.Pieces, id)
		if err != nil {
			return uerr.New(uerr.Failed, op, id, err, "")
		}
		sum, size := sha256.New(), int64(0)
		var piece []byte
		_, err = pgx.ForEachRow(rows, []any{&piece}, func() error {
			size += int64(len(piece))
			_, _ = sum.Write(piece) // never fails
			_, err := w.Write(piece)
			return err
		})
		if err != nil {
			return uerr.New(uerr.KindOf(err), op, id, err, "")
		}
		if size != d.Size || !bytes.Equal(sum.Sum(nil), want) {
			return uerr.New(uerr.Integrity, op, id, errors.New("it is not what came in: its checksum is another one"), "take it from another snapshot: practicectl backup list")
		}
		return nil
	})
	return d, err
}
