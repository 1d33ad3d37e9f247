package drill_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"practicectl/backup/drill"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// withoutChecksums makes a cluster whose pages have none, so that nothing notices damage before a drill does.
func withoutChecksums(t *testing.T, major int) *pgcluster.Cluster {
	t.Helper()
	c := testenv.PGStopped(t, major)
	s := pgcluster.Settings{Memory: 256 << 20, Extra: map[string]string{"fsync": "off"}}
	if os.Geteuid() == 0 {
		for _, role := range pgcluster.EveryRole() {
			s.Users = append(s.Users, pgcluster.UserMap{Account: "root", Role: role})
		}
	}
	if err := c.Init(t.Context(), pgcluster.InitOptions{Settings: s}); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(c.Data, "global", "pg_control")
	raw, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(control, noChecksums(t, raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Start(t.Context()), pgcluster.Bootstrap(t.Context(), c, pgcluster.BootstrapOptions{})); err != nil {
		t.Fatal(err)
	}
	return c
}

// noChecksums does what pg_checksums --disable does, which the bundle does not have: the field data_checksum_version of pg_control
// becomes 0, and its checksum right again.
func noChecksums(t *testing.T, raw []byte) []byte {
	t.Helper()
	const field = 252
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for end := field + 4; end < 400; end += 4 {
		if crc32.Checksum(raw[:end], castagnoli) == binary.LittleEndian.Uint32(raw[end:]) {
			binary.LittleEndian.PutUint32(raw[field:], 0)
			binary.LittleEndian.PutUint32(raw[end:], crc32.Checksum(raw[:end], castagnoli))
			if c, err := pgcluster.ParseControl(raw); err != nil || c.DataChecksums != 0 {
				t.Fatalf("%+v, %v", c, err)
			}
			return raw
		}
	}
	t.Fatal("pg_control has no checksum")
	return nil
}

// hurt changes a page of a relation while the server is stopped.
func hurt(t *testing.T, c *pgcluster.Cluster, relation string, block int, change func(page []byte)) {
	t.Helper()
	var path string
	conn := connect(t, c)
	err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath($1::text::regclass)`, relation).Scan(&path)
	if err = errors.Join(err, conn.Close(t.Context()), c.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(c.Data, path), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 8192)
	if _, err := f.ReadAt(page, int64(block)*8192); err != nil {
		t.Fatal(err)
	}
	change(page)
	_, err = f.WriteAt(page, int64(block)*8192)
	if err = errors.Join(err, f.Close(), c.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestO5_ADrillFindsDamagedPagesThatNothingElseNotices(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := withoutChecksums(t, major)
		conn := connect(t, c)
		fill(t, conn)
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := newRig(t, c)
		g.snapshot()
		e, err := g.drill()
		if err != nil || check(t, e, "checksums").Skipped == "" {
			t.Fatalf("%+v, %v", e, err)
		}
		// A row says that it has 2047 columns (storage: the first item's offset, htup_details.h: t_infomask2).
		hurt(t, c, "public.account", 3, func(page []byte) {
			at := binary.LittleEndian.Uint32(page[24:]) & 0x7FFF
			binary.LittleEndian.PutUint16(page[at+18:], binary.LittleEndian.Uint16(page[at+18:])|0x7FF)
		})
		g.snapshot()
		e, err = g.drill()
		wants(t, err, uerr.Integrity, "public.account: block 3")
		if n := len(check(t, e, "tables").Findings); n != 1 {
			t.Errorf("%d findings: %+v", n, e.Checks)
		}
		// Two entries of a leaf change places.
		hurt(t, c, "public.journal_account", 1, func(page []byte) {
			second, tenth := page[24+4:24+8], page[24+36:24+40]
			a, b := bytes.Clone(second), bytes.Clone(tenth)
			copy(second, b)
			copy(tenth, a)
		})
		g.snapshot()
		e, err = g.drill()
		wants(t, err, uerr.Integrity, "public.journal_account")
		if e.Verdict != drill.Failed || len(check(t, e, "tables").Findings) != 1 {
			t.Errorf("%+v", e)
		}
	})
}

// childDrill makes this test binary drill once and die in the middle.
const childDrill = "PRACTICE_TEST_DRILL"

// childJob is what the child does.
type childJob struct {
	Folder, Identities, State, Dir string
	Bin                            pgcluster.Binaries
	Account                        string
	Point                          string // where it kills itself
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childDrill); text != "" {
		if err := drillAndDie(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func drillAndDie(text string) error {
	var j childJob
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	raw, err := os.ReadFile(j.Identities)
	if err != nil {
		return err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	g := &rig{folder: j.Folder, identity: ids[0], state: j.State, dir: j.Dir, cluster: &pgcluster.Cluster{Bin: j.Bin}}
	if j.Account != "" {
		if g.cluster.RunAs, err = pgcluster.LookupAccount(j.Account); err != nil {
			return err
		}
	}
	key, _, err := drill.EnsureKey(filepath.Join(j.State, "drill.key"))
	if err != nil {
		return err
	}
	o := g.optionsWith(drill.Keeper{Host: "drill-1", Key: key, State: j.State})
	o.Crash = func(point string) {
		if point == j.Point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	_, err = drill.Run(context.Background(), g.open, o, progress.None)
	return err
}

func TestO5_AfterAKilledDrillTheNextOneCleansUpAndSucceeds(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, c))
	g := newRig(t, c)
	g.snapshot()
	g.keeper()
	j := childJob{Folder: g.folder, Identities: g.identities, State: g.state, Dir: g.dir, Bin: c.Bin}
	if c.RunAs != nil {
		j.Account = c.RunAs.Name
	}
	// Somebody else's folder that looks like one of ours, and a copy of one with its marker, stay.
	foreign := filepath.Join(g.dir, "practicectl-drill-0123456789abcdef")
	if err := errors.Join(os.MkdirAll(foreign, 0o755), os.WriteFile(filepath.Join(foreign, ".practicectl-drill"), []byte("practicectl drill scratch v1\n"+foreign+"\n00\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	number := 0
	for _, point := range drill.Points {
		t.Run(point, func(t *testing.T) {
			g.t = t
			j.Point = point
			text, err := json.Marshal(j)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDrill+"="+string(text))
			out, err := cmd.CombinedOutput()
			var ended *exec.ExitError
			if !errors.As(err, &ended) || ended.ExitCode() != -1 {
				t.Fatalf("it was not killed: %v\n%s", err, out)
			}
			if point == "recovered" && !g.running() {
				t.Error("the database did not outlive the drill: this proves nothing")
			}
			if point == "evidence written" || point == "evidence stored" {
				number++
			}
			g.dir = j.Dir + " anderswo" // the next drill works in another place and finds what is left by its note
			e, err := g.drill()
			g.dir = j.Dir
			number++
			if err != nil || e.Number != number {
				t.Fatalf("the next drill: %+v, %v; want number %d", e, err, number)
			}
			if g.running() {
				t.Error("the killed drill's database still runs")
			}
			left, err := filepath.Glob(filepath.Join(g.dir, "*"))
			if err != nil || len(left) != 1 || left[0] != foreign {
				t.Errorf("left: %q, %v", left, err)
			}
			if chains, err := g.chains(); err != nil || !chains[0].Sound() || len(chains[0].Pieces) != number {
				t.Errorf("%+v, %v", chains, err)
			}
		})
	}
}

// running tells whether a server runs on data below the drills' folder.
func (g *rig) running() bool {
	g.t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, g.dir+"/") {
			return true
		}
	}
	return false
}

func TestO5_AMarkerIsWorthNothingAnywhereElse(t *testing.T) {
	g := failing(t)
	g.keeper()
	moved := filepath.Join(g.dir, "kopie")
	note := filepath.Join(g.state, "scratch", "practicectl-drill-aa.json")
	text, err := json.Marshal(map[string]string{"dir": moved, "sockets": filepath.Join(g.dir, "nowhere")})
	err = errors.Join(err, os.MkdirAll(moved, 0o755), os.MkdirAll(filepath.Dir(note), 0o755), os.WriteFile(note, text, 0o600),
		os.WriteFile(filepath.Join(moved, "valuable"), []byte("x"), 0o600), os.WriteFile(filepath.Join(moved, ".practicectl-drill"), []byte("practicectl drill scratch v1\n/elsewhere\n00\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drill.Run(t.Context(), g.open, g.options(), progress.None); uerr.KindOf(err) != uerr.NotFound {
		t.Error(err)
	}
	if len(read(t, filepath.Join(moved, "valuable"))) != 1 {
		t.Error("a folder that is not ours was removed")
	}
}

// TestO5_AScratchFolderWithoutItsMarkerYetIsSwept: a drill that is killed while it writes the marker leaves what was to become it.
func TestO5_AScratchFolderWithoutItsMarkerYetIsSwept(t *testing.T) {
	g := failing(t)
	g.keeper()
	begun := filepath.Join(g.dir, "practicectl-drill-bb")
	note := filepath.Join(g.state, "scratch", "practicectl-drill-bb.json")
	text, err := json.Marshal(map[string]string{"dir": begun, "sockets": filepath.Join(g.dir, "nowhere")})
	err = errors.Join(err, os.MkdirAll(begun, 0o755), os.MkdirAll(filepath.Dir(note), 0o755), os.WriteFile(note, text, 0o600),
		os.WriteFile(filepath.Join(begun, "..practicectl-drill.tmp-1"), []byte("practicectl"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drill.Run(t.Context(), g.open, g.options(), progress.None); uerr.KindOf(err) != uerr.NotFound {
		t.Error(err)
	}
	for _, path := range []string{begun, note} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}

func TestO5_ADrillWithoutRoomSaysSoAndLeavesNothing(t *testing.T) {
	if !testenv.OwnMounts(t) {
		return
	}
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, c))
	g := newRig(t, c)
	g.snapshot()
	disk := testenv.SmallDisk(t, filepath.Dir(g.dir), "16m")
	g.dir = filepath.Join(disk, "Übungen")
	e, err := g.drill()
	wants(t, err, uerr.NoSpace, "make a scratch instance")
	if e.Problem.Kind != "no-space" || !strings.Contains(e.Problem.Next, "--dir") {
		t.Errorf("before: %+v", e.Problem)
	}
	// There is room for the plan, and it goes while the drill is at work.
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=260m"); err != nil {
		t.Fatal(err)
	}
	for _, point := range []string{"scratch made", "laid"} {
		filler := filepath.Join(disk, "filler")
		e, err = g.drill(func(o *drill.Options) {
			o.Crash = func(at string) {
				if at == point && point == "laid" {
					fillUp(t, filler)
				}
			}
			own := o.Own
			o.Own = func(path string) error {
				if point == "scratch made" && strings.HasSuffix(path, "/pg") {
					fillUp(t, filler)
				}
				if own == nil {
					return nil
				}
				return own(path)
			}
		})
		wants(t, err, uerr.NoSpace, "")
		if e == nil || e.Problem.Kind != "no-space" || !strings.Contains(e.Problem.Next, "--dir") || !e.Removed {
			t.Errorf("%s: %+v", point, e)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.drill(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// fillUp takes all the room that is left on a disk.
func fillUp(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
