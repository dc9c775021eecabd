-- The package index of this machine: what apt could install, and what each package wants.
DROP TABLE IF EXISTS dependencies;
DROP TABLE IF EXISTS packages;

CREATE TABLE packages (
    name         text PRIMARY KEY,
    version      text NOT NULL,
    architecture text NOT NULL,
    section      text NOT NULL,
    priority     text NOT NULL,
    maintainer   text NOT NULL,
    source       text NOT NULL,
    installed_kb bigint,
    size_bytes   bigint,
    homepage     text,
    description  text
);

CREATE TABLE dependencies (
    package     text NOT NULL,
    kind        text NOT NULL,
    position    integer NOT NULL,
    alternative integer NOT NULL,
    target      text NOT NULL,
    relation    text,
    version     text,
    PRIMARY KEY (package, kind, position, alternative)
);
