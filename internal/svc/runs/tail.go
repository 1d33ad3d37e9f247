package runs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
)

// tailBytes bounds what is read of a log for its last lines.
const tailBytes = 256 << 10

// Tail returns the last n lines of a file, or fewer.
func Tail(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	start := max(0, info.Size()-tailBytes)
	data, err := io.ReadAll(io.NewSectionReader(f, start, info.Size()-start))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if i := bytes.IndexByte(data, '\n'); start > 0 && i >= 0 {
		data = data[i+1:] // the first line is cut
	}
	text := strings.TrimRight(string(data), "\n")
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):], nil
}
