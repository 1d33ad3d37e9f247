package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/extract"
)

// foundDocument is what restore document reports.
type foundDocument struct {
	Snapshot string `json:"snapshot"`
	extract.Document
	Out string `json:"out"`
}

func (a *app) restoreDocumentCmd() *cobra.Command {
	var s scratchOptions
	var id string
	return a.leaf(leaf{
		Use: "document SNAPSHOT", Short: "Bring one document of the practice back as a file",
		Long: `The practice's documents lie in its database. This command restores the database of a snapshot into a scratch folder, starts it
where nobody reaches it, writes one document into a new file, compares it with the checksum that was noted when the document
came in, and removes the scratch folder again, whatever happens. The running practice is not touched.

Files beside the database come back with restore run --path. The ids of documents are in the table pm.document.`,
		Examples: []string{
			"practicectl restore document latest --id 0190a1b2-0000-7000-8000-000000000001 --out letter.pdf --identity /media/usb/owner.key",
			"practicectl restore document 3f9a1c --id 0190a1b2-0000-7000-8000-000000000001 --out letter.pdf --identity owner.key --dir /srv/spare --store /mnt/nas/backup",
		},
		Args:  cobra.ExactArgs(1),
		Exits: restoreExits,
		Flags: func(f *pflag.FlagSet) {
			s.bind(f)
			f.StringVar(&id, "id", "", "id of the document (required)")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			if id == "" {
				return usageError(r.cmd, errors.New("--id ID is needed"))
			}
			rep := foundDocument{Document: extract.Document{ID: id}, Out: s.out}
			if r.dryRun() {
				return r.result(rep, func(w io.Writer) { table(w, [][]string{{"would write", id + " to " + s.out}}) })
			}
			err := r.extract(ctx, s, args[0], func(from *extract.Scratch, w io.Writer) (err error) {
				rep.Snapshot = from.Snapshot
				rep.Document, err = from.Document(ctx, practiceDocuments(), id, w)
				return err
			})
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) {
				table(w, [][]string{{"snapshot", rep.Snapshot[:12]}, {"document", rep.Name}, {"size", size(rep.Size)}, {"written", rep.Out}})
			})
		},
	})
}
