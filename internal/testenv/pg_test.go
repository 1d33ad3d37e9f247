package testenv_test

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

func TestClustersAreApartAndGoAway(t *testing.T) {
	for _, major := range testenv.PGMajors {
		var all []*pgcluster.Cluster
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			all = []*pgcluster.Cluster{testenv.PG(t, major), testenv.PG(t, major), testenv.PG(t, major, testenv.Fresh, testenv.Bootstrapped)}
			ids := map[uint64]int{}
			for _, c := range all {
				control, err := pgcluster.ReadControl(c.Data)
				if err != nil || c.Bin.Major != major {
					t.Fatalf("%+v, %v", c.Bin, err)
				}
				ids[control.SystemID]++
			}
			if len(ids) != 2 {
				t.Errorf("system identifiers %v: want the template's twice and one of its own", ids)
			}
			conn, err := all[2].Connect(t.Context(), pgcluster.RoleServer, pgcluster.DefaultDatabase)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
		for _, c := range all {
			if _, err := os.Stat(c.SocketDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there: %v", c.SocketDir, err)
			}
		}
	}
}
