// The types of this build are those of the package of the same version.
export { default } from 'markdown-it';
