package repo

import (
	"crypto/ed25519"
	"fmt"
	"regexp"
	"time"
)

// GapPrefix begins the names of records of log that is missing.
const GapPrefix = "g/"

// Gap says that log between two positions is lost, which the next snapshot makes good.
type Gap struct {
	Format     int       `json:"format"`
	Repository string    `json:"repository"`
	Host       string    `json:"host"`
	System     uint64    `json:"system_identifier,string"`
	Timeline   uint32    `json:"timeline"` // on which the log goes on
	From       string    `json:"from_lsn"`
	To         string    `json:"to_lsn"`
	Noticed    time.Time `json:"noticed"`
	Reason     string    `json:"reason"`
}

// GapKey is the object of a gap. Positions are numbers of bytes.
func GapKey(system uint64, timeline uint32, from, to uint64) string {
	return fmt.Sprintf("%s%d/%08X/%016X-%016X", GapPrefix, system, timeline, from, to)
}

// GapForm is the form of the name of a gap.
var GapForm = regexp.MustCompile(`^g/([0-9]{1,20})/([0-9A-F]{8})/([0-9A-F]{16})-([0-9A-F]{16})$`)

// EncodeGap signs g with the host's key and returns the object.
func EncodeGap(g Gap, key ed25519.PrivateKey) ([]byte, error) { return sign(kindGap, g, key) }

// ParseGap checks the record of a gap against the settings.
func ParseGap(data []byte, s Settings) (Gap, error) {
	var g Gap
	line, sig, _, err := split(data)
	if err != nil {
		return g, err
	}
	if err := decode(line, &g.Format, &g); err != nil {
		return g, err
	}
	writer, ok := s.WriterOf(g.Host)
	if !ok || g.Repository != s.Repository {
		return Gap{}, fmt.Errorf("host %q may not write to this repository", clip(g.Host))
	}
	return g, verify(kindGap, line, sig, writer)
}
