//go:build linux

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/testenv"
	"practicectl/release"
	"practicectl/release/publish"
)

// site is a bare folder of an ordinary user, and a vendor whose release 1.0.0 holds the real programs.
type site struct {
	t       *testing.T
	program string // practicectl outside of the installation, with the vendor's trusted root
	repo    string
	prefix  string
	pg      pgcluster.Binaries
}

const nobody = 65534

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "site")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	r := testenv.NewReleases(t)
	r.Clock = time.Now().UTC()
	bin := build(t, dir, r.Root)
	part := func(name string, requires ...string) publish.Component {
		c := publish.Component{Name: name, OS: runtime.GOOS, Arch: runtime.GOARCH, Requires: requires}
		folder := filepath.Join(dir, "parts", name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		file := map[string]string{release.Server: "practice-server", release.Practicectl: "practicectl"}[name]
		if err := os.Rename(filepath.Join(bin, file), filepath.Join(folder, file)); err != nil {
			t.Fatal(err)
		}
		c.Files = os.DirFS(folder)
		return c
	}
	s := &site{t: t, program: filepath.Join(dir, "practicectl"), repo: filepath.Join(dir, "Freigaben ä"), prefix: filepath.Join(dir, "Praxis Müller")}
	copyFile(t, filepath.Join(bin, "practicectl"), s.program)
	module := testenv.Part(release.FrontDesk, map[string]string{"module.toml": "name = \"frontdesk\"\n"})
	module.Requires = []string{release.Client}
	r.Release(t, release.Stable, "1.0.0", part(release.Server), part(release.Practicectl), module,
		testenv.Part(release.Client, map[string]string{"bin/practice-client": "#!/bin/sh\n"}),
		testenv.Part(release.Accounting, map[string]string{"module.toml": "x"}))
	if err := os.CopyFS(s.repo, os.DirFS(r.Dir)); err != nil {
		t.Fatal(err)
	}
	if s.pg, err = pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{Cache: testenv.ToolsDir(), Major: 18}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(s.prefix, 0o700), os.Chown(s.prefix, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.run("uninstall", "--yes") })
	return s
}

// build makes the real programs at version 1.0.0 with root as their trusted root.
func build(t *testing.T, dir string, root []byte) string {
	t.Helper()
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(source, "release", "trust", "root.json"): filepath.Join(dir, "root.json")}})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "bin")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "root.json"), root, 0o644), os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644), os.Mkdir(out, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-buildvcs=false",
		"-ldflags", "-s -w -X practicectl/internal/buildinfo.version=1.0.0", "-o", out+"/", "./cmd/practicectl", "./cmd/practice-server")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs practicectl as an ordinary user without a terminal.
func (s *site) run(args ...string) (code int, stdout, stderr string) {
	cmd := exec.Command(s.program, append([]string{"--prefix", s.prefix}, args...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.prefix}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// want runs a command that has to end with code and returns both outputs.
func (s *site) want(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	got, out, errs := s.run(args...)
	if got != code {
		for _, name := range []string{"agent", "server", "database"} {
			if log, err := os.ReadFile(filepath.Join(s.prefix, "var/log/practice/main", name+".log")); err == nil {
				s.t.Logf("%s.log:\n%s", name, log)
			}
		}
		s.t.Fatalf("%v: exit %d, want %d\n%s%s", args, got, code, out, errs)
	}
	return out, errs
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// TestO1_RealProgramsFromBareFolderToServingAndBack installs the real server on a real PostgreSQL with the real
// practicectl, as an ordinary user, in a path with blanks and umlauts, from a folder.
func TestO1_RealProgramsFromBareFolderToServingAndBack(t *testing.T) {
	s := newSite(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := listener.Addr().String()
	first := []string{"install", "--from", s.repo, "--mode", "online", "--db-bin", s.pg.Dir, "--listen", listen, "--name", "Praxis Müller", "--module", "frontdesk"}

	if _, errs := s.want(14, first...); !strings.Contains(errs, "--listen 127.0.0.1:") {
		t.Fatal("a taken port without advice:", errs)
	}
	listener.Close()
	out, _ := s.want(20, append(first, "--dry-run", "--detailed-exitcode", "--json")...)
	plan := decode[struct{ Digest string }](t, out)
	out, _ = s.want(0, append(first, "--plan-digest", plan.Digest, "--json")...)
	report := decode[struct {
		Changes       int
		URL           string
		CAFingerprint string `json:"ca_fingerprint"`
	}](t, out)
	if report.Changes == 0 || report.URL != "https://localhost:"+listen[strings.LastIndex(listen, ":")+1:] || len(report.CAFingerprint) != 64 {
		t.Fatal(out)
	}
	again := decode[struct{ Changes int }](t, first2(s.want(0, "install", "--json")))
	if again.Changes != 0 {
		t.Fatalf("the second run made %d changes", again.Changes)
	}
	s.want(14, "install", "--profile", "workstation")
	s.want(15, "install", "--from", "/nowhere") // and it is not written down
	s.want(0, "component", "verify")
	rows := decode[[]componentRow](t, first2(s.want(0, "component", "list", "--available", "--json")))
	names := map[string]string{}
	for _, r := range rows {
		names[r.Component] = r.Version
	}
	if names["module-frontdesk"] != "1.0.0" || names["module-accounting"] != "" || names["postgresql"] != s.pg.Version {
		t.Fatal(names)
	}

	s.want(0, "component", "add", "accounting")
	s.want(19, "component", "remove", "accounting") // nobody to ask
	s.want(14, "component", "remove", "client", "--yes")
	s.want(0, "component", "remove", "accounting", "--yes")
	s.want(10, "component", "info", "accounting")
	s.want(0, "component", "info", "server")

	s.want(0, "schedule", "install", "backup", "--with", "agent", "--at", "23:30")
	jobs := decode[[]scheduleRow](t, first2(s.want(0, "schedule", "list", "--json")))
	if len(jobs) != 1 || jobs[0].Backend != "agent" || !strings.HasSuffix(jobs[0].Command[0], "/opt/practice/practicectl/current/practicectl") ||
		!slices.Equal(jobs[0].Command[5:], []string{"job", "run", "backup", "--cron"}) {
		t.Fatalf("%+v", jobs)
	}
	s.want(64, "schedule", "install", "backup", "--at", "noon")
	s.want(14, "schedule", "install", "backup", "--with", "systemd")
	s.want(0, "schedule", "remove", "--all")
	s.want(10, "schedule", "remove", "backup")
	s.want(11, "agent", "run")
	_, lock, err := lockfile.Acquire(t.Context(), filepath.Join(s.prefix, "run/practice/main/install.lock"), "install", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := s.want(11, "install"); !strings.Contains(errs, `locked by "install"`) {
		t.Fatal(errs)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}

	s.powerCut()
	s.want(13, "component", "verify") // nothing runs
	s.want(0, "install")
	s.want(0, "component", "verify")

	s.want(19, "uninstall")
	s.want(0, "uninstall", "--yes")
	if _, err := os.Stat(filepath.Join(s.prefix, "var/lib/practice/main/pg/PG_VERSION")); err != nil {
		t.Fatal("uninstall deleted the data:", err)
	}
	s.want(0, "install") // everything asked for once is remembered, and the data are adopted
	s.want(19, "uninstall", "--purge-data", "--confirm", "other")
	s.keepsMounts()
	s.want(0, "uninstall", "--purge-data", "--confirm", "main")
	if _, err := os.Stat(filepath.Join(s.prefix, "var/lib/practice/main")); err == nil {
		t.Fatal("data are left")
	}
	s.want(10, "uninstall", "--yes")
}

// powerCut kills the agent and everything that it supervises at once.
func (s *site) powerCut() {
	s.t.Helper()
	l, err := paths.New(s.prefix, "main")
	if err != nil {
		s.t.Fatal(err)
	}
	agent := svc.NewAgent(l.AgentSocket())
	info, err := agent.Info(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	services, err := agent.List(s.t.Context())
	if err != nil || len(services) != 2 {
		s.t.Fatal(services, err)
	}
	for _, pid := range []int{info.PID, services[0].PID, services[1].PID} { // the agent first, or it would start them again
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			s.t.Fatal(pid, err)
		}
	}
}

// keepsMounts mounts a file system among the data, which a purge must not cross.
func (s *site) keepsMounts() {
	s.t.Helper()
	if os.Geteuid() != 0 {
		return // only root can mount; the rule itself is the same for everybody
	}
	at := filepath.Join(s.prefix, "var/lib/practice/main/usb stick")
	if err := errors.Join(os.Mkdir(at, 0o755), syscall.Mount("tmpfs", at, "tmpfs", 0, "size=1m,mode=0777")); err != nil {
		s.t.Fatal(err)
	}
	_, errs := s.want(18, "uninstall", "--purge-data", "--confirm", "main")
	if err := errors.Join(syscall.Unmount(at, 0), os.Remove(at)); err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(errs, "usb stick") {
		s.t.Fatal(errs)
	}
	s.want(0, "component", "verify") // nothing was touched
}

func first2(a, _ string) string { return a }

func TestInstallAsRootIsRefusedWithTheLineToType(t *testing.T) {
	if os.Geteuid() != 0 {
		return // then nobody can be root by mistake
	}
	st, out, errs := streams()
	code := Main(t.Context(), []string{"install", "--prefix", t.TempDir(), "--from", "/nowhere"}, st)
	if code != 14 || out.Len() > 0 || !strings.Contains(errs.String(), "runuser -u practice -- practicectl") {
		t.Fatal(code, errs)
	}
	if code = Main(t.Context(), []string{"agent", "run", "--prefix", t.TempDir()}, st); code != 14 {
		t.Fatal(code, errs)
	}
}
