package backup_test

import (
	"os"
	"path/filepath"
	"testing"

	"practicectl/backup"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/progress"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// TestO4_EncryptedOffsiteToAnS3Store goes the whole way to a real S3 server, then loses the server.
func TestO4_EncryptedOffsiteToAnS3Store(t *testing.T) {
	server := testenv.S3(t)
	bucket := server.NewBucket(t, true)
	g := newRig(t, server.Open(t, bucket, "praxis/main"))
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 2000)
	etc := writeFiles(t, 11)
	first := g.run(source(c, etc))
	execSQL(t, conn, `UPDATE account SET note = 'neu' WHERE id = 77`)
	second := g.run(source(c, etc))
	if third := g.run(source(c, etc)); third.Uploaded > 64<<10 || second.Uploaded > first.Uploaded/5 {
		t.Errorf("uploaded %d, %d, %d bytes", first.Uploaded, second.Uploaded, third.Uploaded)
	}
	g.verifyAll()
	want := dump(t, conn)
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	sameTree(t, etc, filepath.Join(target, "files", etc))
	sameRows(t, want, dump(t, connect(t, startCopy(t, c, filepath.Join(target, "pg")))))

	o := server.Options(bucket, "praxis/main")
	o.SecretKey = secret.New("wrong")
	wrong, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Open(t.Context(), wrong, g.keys); uerr.KindOf(err) != uerr.Auth || uerr.HintOf(err) == "" {
		t.Errorf("wrong credentials: %v", err)
	}
	o = server.Options(bucket, "praxis/main")
	o.Attempts = 2
	impatient, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	g.store = impatient
	host := g.host()
	server.Stop()
	if _, err := backup.Run(t.Context(), host, source(c, etc), g.options(), progress.None); uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
		t.Errorf("the store is gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "backup_label")); err == nil {
		t.Error("a backup label lies in the data folder")
	}
}
