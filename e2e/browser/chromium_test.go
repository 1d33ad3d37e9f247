package browser

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// window is one browser window with its own profile.
type window struct {
	t    *testing.T
	ctx  context.Context
	home string
	axe  string

	mu       sync.Mutex
	foreign  []string // requests to other origins
	mishaps  []string // script errors, violations of the policy
	answered map[string]int64
}

// chromium finds the browser.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("Chromium is missing: apt-get install -y --no-install-recommends chromium fonts-dejavu-core")
	return ""
}

// axeCore reads the accessibility rules.
func axeCore(t *testing.T) string {
	t.Helper()
	path, err := exec.CommandContext(t.Context(), "../../scripts/axe-core").Output()
	if err != nil {
		t.Fatal("axe-core is missing: run scripts/axe-core, which fetches its npm package")
	}
	text, err := os.ReadFile(strings.TrimSpace(string(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// open starts a browser that trusts exactly the server's own key.
func (h *house) open(t *testing.T) *window {
	t.Helper()
	return browse(t, h.url, chromedp.Flag("ignore-certificate-errors-spki-list", spki(h.cert)))
}

// browse starts a browser whose pages may ask for nothing that does not lie below home.
func browse(t *testing.T, home string, more ...chromedp.ExecAllocatorOption) *window {
	t.Helper()
	w := &window{t: t, home: home, axe: axeCore(t), answered: map[string]int64{}}
	profile, err := os.MkdirTemp("", "chr")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("lang", "de"),
	)
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	ctx, cancel := chromedp.NewContext(alloc)
	w.ctx = ctx
	t.Cleanup(func() {
		cancel()
		stop()
		_ = os.RemoveAll(profile)
	})
	if err := chromedp.Do(ctx); err != nil { // starts it
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, w.listen); err != nil {
		t.Fatal(err)
	}
	call(w, network.Enable, network.EnableParams{})
	call(w, log.Enable, cdp.Empty{})
	w.size(1366, 768)
	w.dark(false)
	return w
}

func spki(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (w *window) listen(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, w.home+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			w.foreign = append(w.foreign, e.Request.URL)
		}
	case *network.EventResponseReceived:
		if u, err := url.Parse(e.Response.URL); err == nil && e.Type == network.ResourceTypeDocument {
			w.answered[u.RequestURI()] = e.Response.Status
		}
	case *runtime.EventExceptionThrown:
		w.mishaps = append(w.mishaps, e.ExceptionDetails.Text+" "+e.ExceptionDetails.URL)
	case *log.EventEntryAdded:
		// The browser logs each answer of 400 and above; those are looked at by what the page says.
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
			w.mishaps = append(w.mishaps, e.Entry.Text)
		}
	}
}

// calm fails the test if a page asked another origin for something, or a script or the policy complained.
func (w *window) calm() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.foreign) > 0 {
		w.t.Errorf("requests to other origins: %q", w.foreign)
	}
	if len(w.mishaps) > 0 {
		w.t.Errorf("the browser complained: %q", w.mishaps)
	}
}

// call sends the browser a command of the protocol.
func call[P, R any](w *window, c cdp.Command[P, R], params P) {
	w.t.Helper()
	if _, err := chromedp.Call(w.ctx, c, params); err != nil {
		w.t.Fatal(err)
	}
}

func (w *window) do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := w.try(steps...); err != nil {
		w.t.Fatalf("%v; on the page: %s", err, w.visible())
	}
}

// patience is how long something may take to appear; a missing element fails the test and does not hang it.
const patience = 20 * time.Second

func (w *window) try(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// ask runs an action that has an answer.
func ask[T any](w *window, a chromedp.Action[T]) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		w.t.Fatalf("%v; on the page: %s", err, w.visible())
	}
	return v
}

func (w *window) visible() string {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(document.querySelector("main") || document.body).innerText.slice(0, 900)`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (w *window) size(width, height int64) {
	w.t.Helper()
	call(w, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
}

func (w *window) dark(on bool) {
	w.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	call(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

func (w *window) goTo(path string) {
	w.t.Helper()
	w.do(chromedp.Navigate(w.home+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// press clicks something that leads to another page and waits for that page.
func (w *window) press(selector string) {
	w.t.Helper()
	w.do(chromedp.Evaluate[chromedp.Void](`window.stale = true`), chromedp.Click(chromedp.CSS(selector)))
	w.until(`!window.stale && document.readyState === "complete"`)
}

// until waits for a condition of the page.
func (w *window) until(condition string) {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
		cancel()
		if err == nil && ok {
			return
		}
	}
	w.t.Fatalf("waited for %s; on the page: %s", condition, w.visible())
}

func (w *window) fill(selector, text string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).value = ""`, selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// set gives a field a value that cannot be typed alike in every language, such as a date.
func (w *window) set(selector, value string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("input", {bubbles: true}))}`, selector, value)))
}

func (w *window) click(selector string) {
	w.t.Helper()
	w.do(chromedp.Click(chromedp.CSS(selector)))
}

func (w *window) html() string {
	w.t.Helper()
	return ask(w, chromedp.OuterHTML(chromedp.CSS("html")))
}

func (w *window) says(texts ...string) {
	w.t.Helper()
	page, source := w.visible(), w.html()
	for _, text := range texts {
		if !strings.Contains(page, text) && !strings.Contains(source, text) {
			w.t.Errorf("the page does not say %q: %s", text, page)
		}
	}
}

func (w *window) lacks(texts ...string) {
	w.t.Helper()
	source := w.html()
	for _, text := range texts {
		if strings.Contains(source, text) {
			w.t.Errorf("the page contains %q", text)
		}
	}
}

// violation is a finding of axe-core.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Where  string `json:"where"`
}

// accessible runs axe-core and fails on serious and critical findings.
func (w *window) accessible(name string) {
	w.t.Helper()
	w.examine(name, `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`)
}

// examine runs some of axe-core's rules. The rules come in past the page's policy, as a debugger does.
func (w *window) examine(name, rules string) {
	w.t.Helper()
	if !ask(w, chromedp.Evaluate[bool](`"axe" in window`)) {
		w.do(chromedp.Evaluate[chromedp.Void](w.axe + `;0`))
	}
	raw := ask(w, chromedp.Evaluate[string](`axe.run(document, {runOnly: `+rules+`}).then(r =>
  JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help, where: v.nodes.slice(0, 3).map(n => n.target.join(" ") + ": " + (n.any[0] || n.all[0] || n.none[0] || {message: ""}).message).join(" | ")}))))`,
		chromedp.EvalAwaitPromise))
	var found []violation
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			w.t.Errorf("%s: axe %s (%s): %s at %s", name, v.ID, v.Impact, v.Help, v.Where)
		}
	}
}

// fits fails when the page scrolls sideways.
func (w *window) fits(name string) {
	w.t.Helper()
	if over := ask(w, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); over > 0 {
		who := ask(w, chromedp.Evaluate[string](`[...document.querySelectorAll("body *")].filter(e => !e.closest("nav") && e.getBoundingClientRect().right > document.documentElement.clientWidth).slice(0, 4).map(e => e.tagName + "." + e.className).join(", ")`))
		w.t.Errorf("%s scrolls sideways by %d px: %s", name, over, who)
	}
}

// picture writes a screenshot into the folder that PRACTICE_SCREENSHOTS names, for a person to look at.
func (w *window) picture(name string) {
	w.t.Helper()
	dir := os.Getenv("PRACTICE_SCREENSHOTS")
	if dir == "" {
		return
	}
	png := ask(w, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.png", name)), png, 0o644); err != nil {
		w.t.Fatal(err)
	}
}
