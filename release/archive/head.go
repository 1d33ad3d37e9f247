package archive

import (
	"archive/tar"
	"io"

	"github.com/klauspost/compress/zstd"

	"practicectl/internal/uerr"
)

// ReadHead reads only component.json of the archive in r: what it is and what it requires. Error kind: Integrity.
func ReadHead(r io.Reader) (Manifest, error) {
	fail := func(err error) (Manifest, error) {
		return Manifest{}, uerr.New(uerr.Integrity, "read the head of", "a component archive", err, "fetch the component again")
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fail(err)
	}
	defer z.Close()
	head, err := readHead(tar.NewReader(z))
	if err != nil {
		return fail(err)
	}
	m, err := parseManifest(head)
	if err != nil {
		return fail(err)
	}
	return m, nil
}
