package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"practicectl/installer"
	"practicectl/internal/paths"
	"practicectl/internal/slots"
	"practicectl/internal/uerr"
	"practicectl/release/archive"
)

// componentInfo is the JSON form of `component info`.
type componentInfo struct {
	installer.Receipt
	Summary    string   `json:"summary,omitempty"`
	Files      int      `json:"files"`
	Bytes      int64    `json:"bytes"`
	Versions   []string `json:"versions"`    // on the disk
	RequiredBy []string `json:"required_by"` // installed components
}

func (a *app) componentInfoCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "info COMPONENT", Short: "Show one installed component",
		Long:     "Shows version, size, requirements, services and ports of one installed component, and the versions of it on the disk.",
		Examples: []string{"practicectl component info server", "practicectl component info clinical --json"},
		Args:     cobra.ExactArgs(1), Complete: completeComponents,
		NoFiles: true,
		Exits:   []uerr.Kind{uerr.NotFound, uerr.Integrity},
		Run: func(_ context.Context, r *run, args []string) error {
			names, err := componentNames(args)
			if err != nil {
				return err
			}
			l, err := r.layout()
			if err != nil {
				return err
			}
			info, err := describeComponent(l, names[0])
			if err != nil {
				return err
			}
			return r.result(info, func(w io.Writer) { showComponent(w, info) })
		},
	})
}

func describeComponent(l paths.Layout, name string) (componentInfo, error) {
	rc, err := installer.ReadReceipt(l.Receipts(), name)
	if err != nil {
		return componentInfo{}, err
	}
	info := componentInfo{Receipt: rc, Versions: []string{}, RequiredBy: []string{}}
	if rc.FilesSHA256 != "" {
		m, err := archive.ReadManifest(rc.Dir)
		if err != nil {
			return info, err
		}
		info.Summary, info.Files, info.Bytes = m.Summary, len(m.Files), m.Size()
		if info.Versions, err = (slots.Slots{Dir: l.Component(name)}).Versions(); err != nil {
			return info, err
		}
	}
	all, err := installer.ReadReceipts(l.Receipts())
	for _, o := range all {
		if slices.Contains(o.Requires, name) {
			info.RequiredBy = append(info.RequiredBy, o.Component)
		}
	}
	return info, err
}

func showComponent(w io.Writer, i componentInfo) {
	rows := [][]string{{"component", i.Component}, {"version", i.Version}, {"provider", i.Provider}, {"folder", filepath.Clean(i.Dir)},
		{"installed", i.Installed.Format(time.RFC3339)}}
	for _, list := range []struct {
		name  string
		words []string
	}{{"requires", i.Requires}, {"required by", i.RequiredBy}, {"services", i.Services}, {"on disk", i.Versions}} {
		if len(list.words) > 0 {
			rows = append(rows, []string{list.name, strings.Join(list.words, ", ")})
		}
	}
	if i.Files > 0 {
		rows = append(rows, []string{"size", fmt.Sprintf("%s in %d files", size(i.Bytes), i.Files)})
	}
	if i.Summary != "" {
		rows = append(rows, []string{"what it is", i.Summary})
	}
	table(w, rows)
}
