package pgsource

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
)

// CheckStopped verifies the checksum of every page of a cluster that was shut down cleanly, as pg_checksums --check does. It
// returns the damaged pages and how many it read; segmentPages is the cluster's number of pages in a file.
func CheckStopped(ctx context.Context, data string, segmentPages uint32) (damaged []repo.Damage, pages int64, err error) {
	err = eachRelationFile(data, func(path, rel string, segment uint32) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		found, n, err := checkFile(f, rel, segment*segmentPages)
		damaged, pages = append(damaged, found...), pages+n
		return errors.Join(err, f.Close())
	})
	return damaged, pages, err
}

func checkFile(f io.Reader, rel string, first uint32) (damaged []repo.Damage, pages int64, err error) {
	var page [repo.PageSize]byte
	r := bufio.NewReaderSize(f, 1<<20)
	for block := first; ; block++ {
		if _, err := io.ReadFull(r, page[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return damaged, pages, nil // a page being added when the server ended: it does not see it either
		} else if err != nil {
			return damaged, pages, err
		}
		if pages++; page != [repo.PageSize]byte{} && checkPage(page[:], block) != intake.Sound {
			damaged = append(damaged, repo.Damage{Path: rel, Block: block})
		}
	}
}

// eachRelationFile visits the files of pages, tablespaces included.
func eachRelationFile(data string, visit func(path, rel string, segment uint32) error) error {
	roots := []string{"global", "base"}
	spaces, err := os.ReadDir(filepath.Join(data, "pg_tblspc"))
	if err != nil {
		return err
	}
	for _, s := range spaces {
		roots = append(roots, filepath.Join("pg_tblspc", s.Name()))
	}
	for _, root := range roots {
		start, err := filepath.EvalSymlinks(filepath.Join(data, root))
		if err != nil {
			return err
		}
		err = filepath.WalkDir(start, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			m := relation.FindStringSubmatch(d.Name())
			if m == nil {
				return nil
			}
			segment := uint64(0)
			if m[3] != "" {
				if segment, err = strconv.ParseUint(m[3], 10, 32); err != nil {
					return err
				}
			}
			below, err := filepath.Rel(start, path)
			if err != nil {
				return err
			}
			return visit(path, filepath.ToSlash(filepath.Join(root, below)), uint32(segment))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
