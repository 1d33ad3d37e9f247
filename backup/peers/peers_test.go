// Package peers compares practicectl with the backup programs that administrators know, in one run, on the same data and the same
// S3 server. It holds benchmarks only: make bench RUN=Peers.
package peers

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// number reads a size or a count that the caller of make bench may set.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// jobs are the columns of the table, in the order in which they are done.
var jobs = []string{"first full", "nothing changed", "1 % changed", "restore", "delta restore", "verify"}

// BenchmarkPeers prints a table for each PostgreSQL and kind of data. BENCH_SIZE is the size of the data in MB, BENCH_ROUNDS how
// often everything is done: of each figure the least counts, since everything that disturbs makes it larger.
func BenchmarkPeers(b *testing.B) {
	size := number("BENCH_SIZE", 1000)
	for _, major := range []int{15, 18} {
		for _, d := range []data{mixed(size), text(size)} {
			b.Run(fmt.Sprintf("pg%d-%s", major, d.Name), func(b *testing.B) {
				s := newStore(b)
				m := newMachine(b, s, major)
				m.fill(b, d)
				b.ResetTimer()
				compare(b, m, toolsFor(m))
			})
		}
	}
}

// toolsFor is who can save a major version: Debian's pgBackRest is older than PostgreSQL 18.
func toolsFor(m *machine) []tool {
	ours := &practice{machine: m, label: "practicectl"}
	if m.major >= 17 {
		return []tool{ours, &practice{machine: m, label: "practicectl --full", flags: []string{"--full"}}, &restic{machine: m}}
	}
	return []tool{ours, pgBackRest{m}, &restic{machine: m}}
}

// compare does all jobs with all tools, each job with one tool after the other, and prints what they cost.
func compare(b *testing.B, m *machine, tools []tool) {
	b.Helper()
	costs := map[string]map[string]cost{}
	for round := range number("BENCH_ROUNDS", 1) {
		for _, tl := range tools {
			tl.start(b, round)
		}
		for _, tl := range tools {
			note(costs, jobs[0], tl, tl.backup(b))
		}
		for _, tl := range tools {
			for range 3 {
				note(costs, jobs[1], tl, tl.backup(b))
			}
		}
		m.change(b, round)
		for _, tl := range tools {
			note(costs, jobs[2], tl, tl.backup(b))
		}
		for _, tl := range tools {
			target := filepath.Join(m.dir, "restored")
			note(costs, jobs[3], tl, tl.restore(b, target))
			destroy(b, tl.database(target))
			if c, ok := tl.repair(b, target); ok {
				note(costs, jobs[4], tl, c)
			}
			if err := os.RemoveAll(target); err != nil {
				b.Fatal(err)
			}
			note(costs, jobs[5], tl, tl.verify(b))
		}
	}
	report(b, tools, jobs, costs)
}

// note keeps what a job cost a tool, and of several times the least.
func note(costs map[string]map[string]cost, job string, tl tool, c cost) {
	if costs[job] == nil {
		costs[job] = map[string]cost{}
	}
	if old, ok := costs[job][tl.name()]; ok {
		c = least(old, c)
	}
	costs[job][tl.name()] = c
}

// destroy overwrites one page in a hundred of the large files below dir with noise.
func destroy(t testing.TB, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "base", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 8192)
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil || info.Size() < 1<<20 {
			continue
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for block := int64(37); block < info.Size()/8192; block += 100 {
			_, _ = rand.Read(noise)
			if _, err := f.WriteAt(noise, block*8192); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// report prints the costs as a table, and ours as a share of the best of the others'.
func report(b *testing.B, tools []tool, jobs []string, costs map[string]map[string]cost) {
	b.Helper()
	var t strings.Builder
	fmt.Fprintf(&t, "\n%s: wall s / CPU s / MiB sent / MiB received / requests / MiB of memory\n\n| | %s |\n|---|%s\n", b.Name(), strings.Join(jobs, " | "), strings.Repeat("---|", len(jobs)))
	for _, tl := range tools {
		fmt.Fprintf(&t, "| %s |", tl.name())
		for _, job := range jobs {
			if c, ok := costs[job][tl.name()]; ok {
				fmt.Fprintf(&t, " %.2f / %.2f / %.1f / %.1f / %d / %d |", c.Wall.Seconds(), c.CPU.Seconds(), mib(c.Sent), mib(c.Received), c.Requests, c.Memory>>20)
			} else {
				t.WriteString(" none |")
			}
		}
		t.WriteByte('\n')
	}
	if len(tools) > 1 {
		t.WriteString(shares(tools, jobs, costs))
	}
	fmt.Println(t.String()) // go test shortens what a benchmark logs
	if path := os.Getenv("BENCH_REPORT"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close() // what is lost was printed as well
		fmt.Fprintln(f, t.String())
	}
}

// shares is the line of the table that tells the first tool's as a share of the best of other people's.
func shares(tools []tool, jobs []string, costs map[string]map[string]cost) string {
	var t strings.Builder
	t.WriteString("| **ours of the best** |")
	for _, job := range jobs {
		ours, ok := costs[job][tools[0].name()]
		if !ok {
			t.WriteString(" none |")
			continue
		}
		best := func(of func(cost) float64) string {
			var all []float64
			for _, tl := range tools[1:] {
				if _, own := tl.(*practice); !own {
					all = append(all, of(costs[job][tl.name()]))
				}
			}
			least := slices.Min(all)
			if least == 0 {
				return "–"
			}
			return fmt.Sprintf("%.2f", of(ours)/least)
		}
		fmt.Fprintf(&t, " **%s** / %s / %s / %s / %s / %s |", best(func(c cost) float64 { return c.Wall.Seconds() }), best(func(c cost) float64 { return c.CPU.Seconds() }),
			best(func(c cost) float64 { return float64(c.Sent) }), best(func(c cost) float64 { return float64(c.Received) }), best(func(c cost) float64 { return float64(c.Requests) }),
			best(func(c cost) float64 { return float64(c.Memory) }))
	}
	t.WriteByte('\n')
	return t.String()
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
