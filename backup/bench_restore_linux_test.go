package backup_test

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

// benchRepository is a repository on a real S3 server with one snapshot.
func benchRepository(b *testing.B) (*rig, *pgcluster.Cluster, backup.Report) {
	b.Helper()
	c := testenv.PG(b, 15, testenv.Bootstrapped)
	conn := connect(b, c)
	notes(b, conn)
	server := testenv.S3(b)
	g := newRig(b, server.Open(b, server.NewBucket(b, false), "bench"))
	return g, c, g.run(source(c))
}

// cpu is what this process has computed so far, in seconds.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// measured runs fn over and over with a new folder each time; prepare is not measured.
func measured(b *testing.B, prepare func(dir string), fn func(dir string) (size, read, requests int64)) {
	var read, requests int64
	used := 0.0
	for b.Loop() {
		b.StopTimer()
		dir, err := os.MkdirTemp(os.Getenv("PRACTICE_BENCH_DIR"), "bench")
		if err != nil {
			b.Fatal(err)
		}
		prepare(dir)
		before := cpu(b)
		b.StartTimer()
		var size int64
		size, read, requests = fn(dir)
		b.StopTimer()
		used += cpu(b) - before
		b.SetBytes(size)
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(used/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(read)/(1<<20), "MiB-read")
	b.ReportMetric(float64(requests), "requests")
}

// BenchmarkRestore lays a snapshot into a new folder and makes it durable.
func BenchmarkRestore(b *testing.B) {
	g, _, _ := benchRepository(b)
	measured(b, func(string) {}, func(dir string) (int64, int64, int64) {
		rep := g.restore("latest", filepath.Join(dir, "copy"), backup.RestoreOptions{})
		return rep.Bytes, rep.Read, rep.Requests
	})
}

// BenchmarkDeltaRestore destroys one page in a hundred, at random, and brings the copy back in place.
func BenchmarkDeltaRestore(b *testing.B) {
	g, c, _ := benchRepository(b)
	o := &older{rig: g, c: c}
	rng := rand.New(rand.NewPCG(1, 1))
	damage := int64(0)
	measured(b, func(dir string) {
		copied := filepath.Join(dir, "copy")
		g.restore("latest", copied, backup.RestoreOptions{})
		damage = destroyPages(b, filepath.Join(copied, "pg", "base"), rng)
		syscall.Sync()
	}, func(dir string) (int64, int64, int64) {
		rep, err := o.inPlace(b.Context(), filepath.Join(dir, "copy"), backup.RestoreOptions{})
		if err != nil {
			b.Fatal(err)
		}
		return rep.Bytes, rep.Read, rep.Requests
	})
	b.ReportMetric(float64(damage)/(1<<20), "MiB-damaged")
}

// destroyPages overwrites one page in a hundred below dir with noise and returns the bytes.
func destroyPages(b *testing.B, dir string, rng *rand.Rand) (damage int64) {
	b.Helper()
	noise := make([]byte, 8192)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		for at := int64(0); at+8192 <= info.Size(); at += 8192 {
			if rng.IntN(100) == 0 {
				if _, err := f.WriteAt(noise, at); err != nil {
					return err
				}
				damage += 8192
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return damage
}

// BenchmarkVerify compares every object with its name, as anybody can without a key.
func BenchmarkVerify(b *testing.B) {
	g, _, _ := benchRepository(b)
	auditor, err := backup.Open(b.Context(), g.store, backup.Keys{})
	if err != nil {
		b.Fatal(err)
	}
	measured(b, func(string) {}, func(string) (int64, int64, int64) {
		rep, err := backup.Verify(b.Context(), auditor, backup.VerifyOptions{}, progress.None)
		if err != nil {
			b.Fatal(err)
		}
		return rep.Bytes, rep.Bytes, int64(rep.Packs + rep.Log)
	})
}
