package client

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"practicectl/internal/modpack"
)

//go:embed page.html style.css
var assets embed.FS

// HostOptions configure the local screens.
type HostOptions struct {
	Addr     string // "127.0.0.1:port" that the daemon listens on; the only Host it answers to, with localhost:port
	Server   *Server
	Language string                                              // "de" or "en"
	Modules  func() ([]modpack.Module, []modpack.Refused, error) // asked on each request: modules come and go
	Log      *slog.Logger
}

// NewHost returns the handler of the local screens. It answers only requests addressed to it by name, so that a
// page of another site that points its own name at this machine reaches nothing.
func NewHost(o HostOptions) (http.Handler, error) {
	page, err := template.ParseFS(assets, "page.html")
	if err != nil {
		return nil, err
	}
	h := &host{HostOptions: o, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { h.write(w, "text/plain; charset=utf-8", []byte("ok\n")) })
	mux.HandleFunc("GET /style.css", h.style)
	mux.HandleFunc("GET /api/modules", h.list)
	mux.HandleFunc("GET /m/{name}", h.module)
	mux.HandleFunc("GET /{$}", h.home)
	_, port, _ := strings.Cut(o.Addr, ":")
	return guard([]string{o.Addr, "localhost:" + port}, mux), nil
}

// guard refuses requests for other names (421) and sets the headers that every answer has.
func guard(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		if !slices.Contains(hosts, r.Host) {
			http.Error(w, "misdirected request", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type host struct {
	HostOptions
	page *template.Template
}

// pageData is what page.html shows.
type pageData struct {
	Lang    string
	Text    map[string]string
	Server  string // URL; empty: not connected
	Modules []moduleData
	Refused []string
	One     bool // the page of one module
}

type moduleData struct {
	Name, Title, Summary, Version string
	Nav                           []navData
}

type navData struct{ Title, URL string }

func texts(lang string) map[string]string {
	if lang == "de" {
		return map[string]string{"title": "Praxis", "modules": "Module auf diesem Arbeitsplatz", "none": "Auf diesem Arbeitsplatz ist noch kein Modul installiert.",
			"refused": "Nicht geladen, weil verändert oder unvollständig:", "unconnected": "Dieser Arbeitsplatz ist noch mit keinem Server verbunden.", "server": "Server", "back": "Alle Module"}
	}
	return map[string]string{"title": "Practice", "modules": "Modules on this workstation", "none": "No module is installed on this workstation yet.",
		"refused": "Not loaded, because changed or incomplete:", "unconnected": "This workstation is not connected to a server yet.", "server": "Server", "back": "All modules"}
}

func (h *host) home(w http.ResponseWriter, _ *http.Request) { h.render(w, "") }

func (h *host) module(w http.ResponseWriter, r *http.Request) { h.render(w, r.PathValue("name")) }

// render shows all modules, or the one called only.
func (h *host) render(w http.ResponseWriter, only string) {
	modules, refused, err := h.Modules()
	if err != nil {
		h.fail(w, err)
		return
	}
	d := pageData{Lang: h.Language, Text: texts(h.Language), One: only != ""}
	if h.Server != nil {
		d.Server = h.Server.URL
	}
	for _, m := range modules {
		if only == "" || m.Name == only {
			d.Modules = append(d.Modules, h.describe(m, d.Server))
		}
	}
	if only != "" && len(d.Modules) == 0 {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	for _, r := range refused {
		h.Log.Error("module refused", "module", r.Name, "error", r.Err)
		if only == "" {
			d.Refused = append(d.Refused, r.Name)
		}
	}
	var out bytes.Buffer
	if err := h.page.Execute(&out, d); err != nil {
		h.fail(w, err)
		return
	}
	h.write(w, "text/html; charset=utf-8", out.Bytes())
}

func (h *host) describe(m modpack.Module, server string) moduleData {
	d := moduleData{Name: m.Name, Title: m.Title.In(h.Language), Summary: m.Summary.In(h.Language), Version: m.Version}
	for _, n := range m.Nav {
		link := ""
		if server != "" {
			link = server + n.Path
		}
		d.Nav = append(d.Nav, navData{n.Title.In(h.Language), link})
	}
	return d
}

func (h *host) list(w http.ResponseWriter, _ *http.Request) {
	modules, refused, err := h.Modules()
	if err != nil {
		h.fail(w, err)
		return
	}
	names := make([]string, 0, len(refused))
	for _, r := range refused {
		names = append(names, r.Name)
	}
	if modules == nil {
		modules = []modpack.Module{}
	}
	data, err := json.Marshal(map[string]any{"modules": modules, "refused": names})
	if err != nil {
		h.fail(w, err)
		return
	}
	h.write(w, "application/json", data)
}

func (h *host) style(w http.ResponseWriter, _ *http.Request) {
	data, err := assets.ReadFile("style.css")
	if err != nil {
		h.fail(w, err)
		return
	}
	h.write(w, "text/css; charset=utf-8", data)
}

func (h *host) write(w http.ResponseWriter, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	if _, err := w.Write(data); err != nil {
		h.Log.Debug("answer not delivered", "error", err)
	}
}

func (h *host) fail(w http.ResponseWriter, err error) {
	h.Log.Error("request failed", "error", err)
	http.Error(w, "internal error", http.StatusInternalServerError)
}
