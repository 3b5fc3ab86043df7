package template

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Project is a repository that a deployment knows.
type Project struct {
	Name       string
	Repository string // its URL
	Level      string // 1, 2 or 3: how far its tasks are trusted
}

// ReadProjects reads the file in which ci-configuration has its projects: an
// object of them by name, each with repo, repo_type and, for Mercurial, access
// (scm_level_N), for git the branches with their levels. A git project has the
// level of its default branch, which is main unless it says otherwise. Other
// members are left unread. Projects are sorted by name.
func ReadProjects(text []byte) ([]Project, error) {
	var file map[string]projectEntry
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("cannot read projects: %w", err)
	}
	if len(file) == 0 {
		return nil, errors.New("cannot read projects: there are none in the file")
	}
	projects := make([]Project, 0, len(file))
	for name, entry := range file {
		projects = append(projects, Project{Name: name, Repository: strings.TrimRight(entry.Repo, "/"), Level: entry.level()})
	}
	slices.SortFunc(projects, func(a, b Project) int { return strings.Compare(a.Name, b.Name) })
	return projects, nil
}

// projectEntry is a project in the file.
type projectEntry struct {
	Repo          string
	Type          string `yaml:"repo_type"`
	Access        string
	DefaultBranch string `yaml:"default_branch"`
	Branches      []struct {
		Name  string
		Level int
	}
}

// level returns "" if the file does not tell.
func (e projectEntry) level() string {
	if e.Type == "hg" {
		return strings.TrimPrefix(e.Access, "scm_level_")
	}
	branch := e.DefaultBranch
	if branch == "" {
		branch = "main"
	}
	for _, b := range e.Branches {
		if b.Name == branch {
			return strconv.Itoa(b.Level)
		}
	}
	return ""
}

// project returns the project of the repository a task comes from. In compat,
// any repository on GitHub with the name of a project is that project.
func (c *Checker) project(p *parent) (Project, error) {
	for _, project := range c.Projects {
		if p.Policy.Compat && p.head.Repository.Kind == GitHub {
			if project.Name == p.head.Repository.name() {
				return project, project.check()
			}
			continue
		}
		at, err := ParseRepository(project.Repository, c.Hosts)
		if err == nil && at == p.head.Repository {
			return project, project.check()
		}
	}
	return Project{}, refusef("its repository %s is no project that the policy knows", quote(p.url))
}

func (p Project) check() error {
	if p.Level == "" {
		return refusef("the project %s has no level in the policy", p.Name)
	}
	return nil
}
