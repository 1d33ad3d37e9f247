package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var staticFiles embed.FS

// asset is a file that pages load.
type asset struct {
	data []byte
	mime string
	tag  string // of its content: a changed file has another address
}

func loadAssets() (map[string]asset, error) {
	out := map[string]asset{}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, err
		}
		out[e.Name()] = newAsset(e.Name(), data)
	}
	out["grid.css"] = newAsset("grid.css", gridCSS())
	return out, nil
}

func newAsset(name string, data []byte) asset {
	sum := sha256.Sum256(data)
	a := asset{data: data, mime: mime.TypeByExtension(path.Ext(name)), tag: hex.EncodeToString(sum[:6])}
	switch path.Ext(name) { // not by the machine's own table
	case ".css":
		a.mime = "text/css; charset=utf-8"
	case ".js":
		a.mime = "text/javascript; charset=utf-8"
	case ".svg":
		a.mime = "image/svg+xml"
	case "", ".LICENSE":
		a.mime = "text/plain; charset=utf-8"
	}
	return a
}

// gridCSS places appointments in the calendar: a class for each five minutes of a day and for each length. A page may
// not carry styles of its own, so the places are classes.
func gridCSS() []byte {
	var b bytes.Buffer
	for i := 1; i <= rowsPerDay; i++ {
		fmt.Fprintf(&b, ".t%d{grid-row-start:%d}.d%d{grid-row-end:span %d}", i, i, i, i)
	}
	for i := 1; i <= maxColumns; i++ {
		fmt.Fprintf(&b, ".c%d{--columns:%d}", i, i)
	}
	return b.Bytes()
}

// address is where a page finds an asset.
func (w *Web) address(name string) string { return "/static/" + name + "?" + w.assets[name].tag }

func (w *Web) static(rw http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a, ok := w.assets[name]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", a.mime)
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("ETag", `"`+a.tag+`"`)
	if strings.HasSuffix(r.URL.RawQuery, a.tag) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable") // no patient data in here
	}
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(a.data))
}
