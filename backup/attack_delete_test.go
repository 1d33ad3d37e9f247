package backup_test

import (
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// TestO7_AttacksThatDelete: versions, markers, locks, the bucket.
func TestO7_AttacksThatDelete(t *testing.T) {
	withstand(t, []attack{
		{name: "every version of everything", do: func(a *attacked) {
			if gone := a.deleteForGood(""); gone > 0 {
				a.t.Errorf("%d objects could be deleted", gone)
			}
		}},
		{name: "a marker over everything", do: func(a *attacked) { a.hide("") }},
		{name: "a marker over the snapshots", do: func(a *attacked) { a.hide("s/") }},
		{name: "a marker over root and settings", do: func(a *attacked) { a.hide("repo.json"); a.hide("r/") }},
		{name: "a marker over packs and lists", do: func(a *attacked) { a.hide("p/"); a.hide("n/") }},
		{name: "many markers and versions in turn", do: func(a *attacked) {
			for range 3 {
				a.hide("s/")
				for _, key := range a.keysUnder("s/") {
					a.put(key, []byte("junk"))
				}
			}
			a.hide("s/")
		}},
		{name: "shorter locks", do: func(a *attacked) {
			soon, governance, compliance := time.Now().Add(time.Second), minio.Governance, minio.Compliance
			for _, o := range a.objects {
				for _, mode := range []*minio.RetentionMode{&governance, &compliance} {
					_ = a.s3.PutObjectRetention(a.t.Context(), a.bucket, "praxis/"+o.Key, minio.PutObjectRetentionOptions{Mode: mode, RetainUntilDate: &soon, VersionID: o.Version, GovernanceBypass: true})
				}
				_ = a.s3.PutObjectRetention(a.t.Context(), a.bucket, "praxis/"+o.Key, minio.PutObjectRetentionOptions{VersionID: o.Version, GovernanceBypass: true})
			}
			time.Sleep(1100 * time.Millisecond)
			a.deleteForGood("s/")
			a.deleteForGood("p/")
		}},
		{name: "no more versions", do: func(a *attacked) {
			if a.s3.SuspendVersioning(a.t.Context(), a.bucket) == nil {
				a.t.Error("a bucket with object lock stopped to keep versions")
			}
			a.overwrite("p/", flipped)
			a.hide("s/")
			a.deleteForGood("")
		}},
		{name: "no more object lock", do: func(a *attacked) {
			_ = a.s3.SetObjectLockConfig(a.t.Context(), a.bucket, nil, nil, nil)
			a.deleteForGood("s/")
			a.deleteForGood("n/")
		}},
		{name: "the bucket", do: func(a *attacked) {
			if a.s3.RemoveBucketWithOptions(a.t.Context(), a.bucket, minio.RemoveBucketOptions{ForceDelete: true}) == nil {
				a.t.Error("the bucket was deleted with locked objects in it")
			}
		}},
	})
}
