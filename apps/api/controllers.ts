import type { Type } from '@nestjs/common';
import { routesOf } from './http/serve.js';
import { OrganizationsController } from './rooms/organizations.controller.js';
import { ProjectsController } from './rooms/projects.controller.js';
import { KeysController } from './rooms/keys.controller.js';
import { SystemController } from './rooms/system.controller.js';
import { DocumentController } from './rooms/document.controller.js';

/** Every controller, in the order of the API guide's chapters. */
export const controllers: readonly Type[] = [
  OrganizationsController,
  ProjectsController,
  KeysController,
  SystemController,
  DocumentController,
];

/** All routes of the API as data. */
export const routes = () => routesOf(controllers);
