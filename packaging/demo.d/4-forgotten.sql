-- Large libraries that nothing depends on, recommends or suggests.
SELECT name, version, installed_kb / 1024 AS mb, left(description, 44) AS what
FROM packages p
WHERE section = 'libs'
  AND NOT EXISTS (SELECT 1 FROM dependencies d WHERE d.target = p.name)
ORDER BY installed_kb DESC NULLS LAST, name
LIMIT 8;
