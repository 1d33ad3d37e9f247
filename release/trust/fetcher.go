package trust

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// metadataBase is the address go-tuf builds its requests on. It is never looked up: the fetcher strips it.
const metadataBase = "http://repository.invalid/metadata/"

// metadataTimeout bounds the fetch of one metadata file.
const metadataTimeout = 2 * time.Minute

// fetcher hands go-tuf the metadata of a source and remembers what it saw. go-tuf knows no context, so a fetcher lives
// for one check.
type fetcher struct {
	ctx  context.Context
	src  source
	seen map[string][]byte // "3.root.json" → bytes, unverified
}

// DownloadFile implements go-tuf's fetcher. Only a real 404 ends the chain of roots.
func (f *fetcher) DownloadFile(url string, maxLength int64, _ time.Duration) ([]byte, error) {
	name, ok := strings.CutPrefix(url, metadataBase)
	if !ok || strings.ContainsAny(name, "/%") {
		return nil, &metadata.ErrRepository{Msg: "role name with special characters"}
	}
	data, err := readAll(f.ctx, f.src, "metadata/"+name, maxLength)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return nil, &missing{status, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: name}}
	}
	if err != nil {
		return nil, err
	}
	f.seen[name] = data
	return data, nil
}

// missing is a file that the source does not have: our words, and the error that go-tuf looks for.
type missing struct {
	*statusError
	tuf error
}

func (e *missing) Unwrap() []error { return []error{e.statusError, e.tuf} }

// readAll reads a small file of at most maxLength bytes.
func readAll(ctx context.Context, src source, name string, maxLength int64) (data []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	r, _, err := src.open(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data, err = io.ReadAll(io.LimitReader(r, maxLength+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > maxLength {
		return nil, &tooLong{name: name, max: maxLength}
	}
	return data, nil
}

func isCut(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) }
