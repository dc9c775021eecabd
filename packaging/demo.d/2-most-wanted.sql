-- What the most packages cannot do without.
SELECT d.target, count(DISTINCT d.package) AS wanted_by, p.version, p.installed_kb
FROM dependencies d
JOIN packages p ON p.name = d.target
WHERE d.kind IN ('depends', 'pre-depends')
GROUP BY d.target, p.version, p.installed_kb
ORDER BY wanted_by DESC, d.target
LIMIT 10;
