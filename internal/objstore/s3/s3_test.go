package s3_test

import (
	"testing"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/storetest"
	"practicectl/internal/testenv"
)

func TestO4_Conformance(t *testing.T) {
	server := testenv.S3(t)
	for name, c := range map[string]struct {
		lock   bool
		prefix string
	}{"plain": {}, "locked": {lock: true}, "prefix": {prefix: "clinic-7/backup"}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) objstore.Store {
				return server.Open(t, server.NewBucket(t, c.lock), c.prefix)
			})
		})
	}
}
