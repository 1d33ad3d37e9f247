package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// verify demands that everything is signed by enough people and lives long enough.
func (p *publication) verify(context.Context) (err error) {
	if p.old, err = readState(p.o.Repo); err != nil {
		return err
	}
	if p.auth, err = authorities(p.stage, p.o.Repo); err != nil {
		return err
	}
	bad := func(subject string, err error) error {
		return uerr.New(uerr.Precond, "publish", subject, err, "practicectl release ceremony status --stage "+p.o.Stage)
	}
	status, err := StageStatus(p.o.Stage, p.o.Repo)
	if err != nil {
		return err
	}
	if err := RequireComplete(status); err != nil {
		return err
	}
	if err := p.auth.verifyChain(); err != nil {
		return bad("the root role", err)
	}
	if p.auth.targets == nil {
		return bad("the targets role", errors.New("there is none"))
	}
	if err := p.auth.root().VerifyDelegate(Targets, p.auth.targets); err != nil {
		return bad("the targets role", err)
	}
	p.roles = map[string]*metadata.Metadata[metadata.TargetsType]{}
	for role, m := range p.old.roles {
		p.roles[role] = m
	}
	for _, d := range p.stage.drafts() {
		if err := p.verifyDraft(d); err != nil {
			return bad(d.role, err)
		}
	}
	for role, m := range p.roles {
		if err := p.auth.targets.VerifyDelegate(role, m); err != nil {
			return bad(role, err)
		}
	}
	return p.verifyLife()
}

func (p *publication) verifyDraft(d draft) error {
	have := p.old.version(d.role)
	switch {
	case d.role == Root:
		p.fresh = append(p.fresh, d)
		return nil
	case d.version == have: // an earlier publication ended before it could clean the stage
		return p.samePublished(d)
	case d.version != have+1:
		return fmt.Errorf("draft is version %d, published is %d: build it again", d.version, have)
	}
	p.fresh = append(p.fresh, d)
	if d.role == Targets {
		return nil
	}
	m, err := metadata.Targets().FromFile(d.path)
	if err != nil {
		return err
	}
	p.roles[d.role] = m
	return nil
}

func (p *publication) samePublished(d draft) error {
	a, err := os.ReadFile(d.path)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(p.old.file(numbered(d.version, d.role)))
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("version %d is published with other content: build it again", d.version)
	}
	return nil
}

// verifyLife keeps a site that is cut off from the world from running into an expiry.
func (p *publication) verifyLife() error {
	until := map[string]time.Time{Root: p.auth.root().Signed.Expires, Targets: p.auth.targets.Signed.Expires}
	for role, m := range p.roles {
		if role != release.Beta {
			until[role] = m.Signed.Expires
		}
	}
	for role, t := range until {
		if left := t.Sub(p.now); left < minLife {
			return uerr.New(uerr.Precond, "publish", role, fmt.Errorf("its signature is valid for %d more days; %d are needed", left/day, minLife/day),
				"sign it anew: practicectl release build, or practicectl release ceremony")
		}
	}
	return nil
}
