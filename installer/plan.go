package installer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"practicectl/internal/pgcluster"
	"practicectl/internal/steps"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Plan is what an installation would do, shown and then executed as it is.
type Plan struct {
	Desired    Desired   `json:"desired"`
	Components []Package `json:"components"`
	steps.Plan
	list []steps.Step
}

// Plan works out what is missing for d. Nothing is changed but the download cache, where archives are read for what
// they require. Error kinds: Usage, Precond, NoSpace, NotFound, and those of the source.
func (i *Installer) Plan(ctx context.Context, d Desired) (*Plan, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	if err := i.preflight(ctx, d); err != nil {
		return nil, err
	}
	packages, err := i.components(ctx, d)
	if err != nil {
		return nil, err
	}
	return i.planFor(ctx, d, packages)
}

func (i *Installer) planFor(ctx context.Context, d Desired, packages []Package) (*Plan, error) {
	p := &Plan{Desired: d, Components: packages, list: i.steps(d, packages)}
	var err error
	p.Plan, err = steps.MakePlan(ctx, p.list)
	return p, err
}

// steps are the installation in the order in which it happens. Each undoes exactly what it did.
func (i *Installer) steps(d Desired, packages []Package) []steps.Step {
	j := &job{i: i, d: d, packages: packages, find: &finder{i: i, d: d}}
	list := []steps.Step{j.folders()}
	for _, p := range packages {
		if !j.external(p) {
			list = append(list, j.stage(p), j.activate(p))
		}
	}
	list = append(list, j.settings())
	if j.has(release.Server) {
		list = append(list,
			j.authority(), j.certificate(),
			j.cluster(), j.clusterSettings())
		if i.o.Agent != nil {
			list = append(list, j.agent())
		}
		list = append(list,
			j.databaseService(),
			j.bootstrap(), // as the superuser, before anybody else can connect
			j.schema(),    // by the staged server itself, before it serves
			j.serverService())
	}
	for _, p := range packages {
		list = append(list, j.receipt(p)) // last: a receipt means that everything before it holds
	}
	return list
}

// job is one installation: what its steps share.
type job struct {
	i        *Installer
	d        Desired
	packages []Package
	find     *finder
}

func (j *job) has(component string) bool {
	return slices.ContainsFunc(j.packages, func(p Package) bool { return p.Name == component })
}

// external reports whether somebody else installs the component: the distribution.
func (j *job) external(p Package) bool {
	return p.Name == release.Postgres && j.d.Provider == pgcluster.ProviderSystem
}

// params is what a later process needs to make the same steps again.
func (p *Plan) params() (map[string]string, error) {
	packages, err := json.Marshal(p.Components)
	return map[string]string{"desired": p.Desired.encode(), "components": string(packages)}, err
}

func fromParams(m map[string]string) (d Desired, packages []Package, err error) {
	err = errors.Join(json.Unmarshal([]byte(m["desired"]), &d), json.Unmarshal([]byte(m["components"]), &packages))
	if err != nil {
		err = uerr.New(uerr.Integrity, "read the unfinished installation in", "the journal", err, "move the journal folder away, then run the same command again")
	}
	return d, packages, err
}
